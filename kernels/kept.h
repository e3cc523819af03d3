// The experts of the groups that a row keeps, packed: one group behind the other.
#pragma once

#include <cstdint>

#include "scratch.h"

namespace moe_gating {
namespace {

// Division of numbers below 2048 by a constant that is at most half as large: as a product and a shift, exactly.
class Division {
 public:
  explicit Division(int64_t divisor) : factor_(static_cast<int32_t>((1 << bits) / divisor + 1)) {}
  int32_t of(int32_t number) const { return number * factor_ >> bits; }
  I of(I numbers) const { return Vector::scaled<bits>(numbers, factor_); }

 private:
  static constexpr int bits = 21;
  int32_t factor_;
};

// Takes places among the kept experts of a row to the experts.
class KeptExperts {
 public:
  KeptExperts(int64_t size, int64_t k_group) : group_(size), small_table_(k_group <= lanes) {}

  int32_t at(const Offsets &offsets, int32_t place) const { return place + offsets[group_.of(place)]; }
  I at(const Offsets &offsets, I places) const {
    const I groups = group_.of(places);
    return Vector::add(places, small_table_
                                   ? Vector::pick(offsets, groups)
                                   : Vector::bits(Vector::gather(reinterpret_cast<const float *>(offsets), groups)));
  }

 private:
  const Division group_;
  const bool small_table_;
};

// Writes the offsets of the groups that have a bit.
inline void write_offsets(uint64_t kept, int64_t k_group, int64_t size, Offsets &offsets) {
  for (int64_t i = 0; i < k_group; ++i, kept &= kept - 1)
    offsets[i] = static_cast<int32_t>((__builtin_ctzll(kept) - i) * size);
}

template <class Values>
MOE_GATING_INLINE void pack_vectors(int64_t vectors, Values values, const Offsets &offsets, int64_t k_group,
                                    int64_t size, float *to) {
  for (int64_t place = 0, group = 0; group < k_group; place += size, ++group)
    for (int64_t i = 0; i < vectors * width; i += width)
      Vector::store(to + place + i, values(place + offsets[group] + i));
}

// Writes the values of the groups that are kept, and up to a vector behind them, which a next row may overwrite.
template <class Values>
MOE_GATING_INLINE void pack(Values values, const Offsets &offsets, int64_t k_group, int64_t size, float *to) {
  const int64_t vectors = (size + width - 1) / width;
  if (vectors == 1) return pack_vectors(1, values, offsets, k_group, size, to);  // short loops are not worth counting
  if (vectors == 2) return pack_vectors(2, values, offsets, k_group, size, to);
  if (vectors == 4) return pack_vectors(4, values, offsets, k_group, size, to);
  pack_vectors(vectors, values, offsets, k_group, size, to);
}

}  // namespace
}  // namespace moe_gating
