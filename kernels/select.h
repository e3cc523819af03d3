// The k largest of n floats in descending order; among equals the lower index wins.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>

#include "half.h"

namespace moe_gating {

// A value and its index in one integer, so that comparing two integers is the whole rule: larger value first, then
// lower index. No two are equal, which keeps std::sort well defined for any input: NaN ranks below -inf.
using Ranked = uint64_t;

inline Ranked rank(float value, int64_t index) {
  const uint32_t bits = bits_of(value + 0.0f);  // the sum turns -0.0 into 0.0
  const uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  const uint32_t key = value != value ? 0 : ascending;
  return Ranked{key} << 32 | static_cast<uint32_t>(~index);
}

inline int32_t index_of(Ranked ranked) { return static_cast<int32_t>(~static_cast<uint32_t>(ranked)); }

// A value that at least k of the values reach: the k-th largest of the maxima of 16 interleaved lanes, each of which
// belongs to another element. Tight on ordinary data; -inf when k > 16 or no such value is known.
inline float lower_bound_of_kth(const float *values, int64_t count, int64_t k) {
  constexpr int64_t lanes = 16;
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  if (k > lanes) return lowest;
  float maxima[lanes];
  std::fill_n(maxima, lanes, lowest);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) maxima[lane] = std::max(maxima[lane], values[i + lane]);
  for (int64_t lane = 0; i < count; ++i, ++lane) maxima[lane] = std::max(maxima[lane], values[i]);
  std::nth_element(maxima, maxima + k - 1, maxima + lanes, std::greater<>());
  return maxima[k - 1];
}

// Writes the winners to ranked[0 .. k), best first. ranked has room for count; 1 <= k <= count.
inline void select_top(const float *values, int64_t count, int64_t k, Ranked *ranked) {
  const float bound = lower_bound_of_kth(values, count, k);
  int64_t candidates = 0;
  for (int64_t i = 0; i < count; ++i)
    if (!(values[i] < bound)) ranked[candidates++] = rank(values[i], i);  // NaN comes along: never too few
  if (k < candidates) std::nth_element(ranked, ranked + k - 1, ranked + candidates, std::greater<>());
  std::sort(ranked, ranked + k, std::greater<>());
}

}  // namespace moe_gating
