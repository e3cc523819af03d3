// The numbers of the bits that are set, for vectors without an instruction for it.
#pragma once

#include <cstdint>

namespace moe_gating {
namespace {

// Writes the numbers of the bits that are set, each plus `base`, at least the first 16 of them; behind them up to three numbers
// of the `count` bits. Four at a time: most often there are no more, and a loop of unknown length costs more than it saves.
inline void unpack_bits(uint64_t bits, int64_t count, int32_t base, int32_t *to) {
  const uint64_t last = uint64_t{1} << (count - 1);
  for (int written = 0; written < 16; written += 4) {
    for (int i = 0; i < 4; ++i, bits &= bits - 1) to[written + i] = base + __builtin_ctzll(bits | last);
    if (bits == 0) return;
  }
}

}  // namespace
}  // namespace moe_gating
