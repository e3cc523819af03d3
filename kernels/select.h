// Step 4: the k experts with the largest values of a row, in descending order; among equals the lower index wins.
// NaN ranks as -inf.
#pragma once

#include <algorithm>
#include <cstdint>

#include "columns.h"
#include "half.h"
#include "moe_gating_top_k.h"
#include "scores.h"

namespace moe_gating {
namespace {

constexpr int64_t usual = 16;  // candidates that most rows have at most: they are ordered without a branch
constexpr int64_t slack = 16;  // a store may write this much behind what counts

// What decides: the scores, or their sums with the bias.
struct Plain {
  const float *values;
  F operator()(int64_t i) const { return Vector::load(values + i); }
};
struct Product {
  const float *values;
  F factor;
  F operator()(int64_t i) const { return Vector::mul(Vector::load(values + i), factor); }
};
struct Biased {
  const float *values, *bias;
  F operator()(int64_t i) const { return Vector::add(Vector::load(values + i), Vector::load(bias + i)); }
};

// Ranges of experts that take part, in ascending order: the whole row, or the groups that were kept.
struct Ranges {
  int64_t count, size;
  const int32_t *first;  // of each range

  // Calls step(part, i, vector) for the vectors of each range, which -inf fills up. There is slack behind values.
  template <class Values, class Step>
  void for_each(Values values, Step step) const {
    for (int64_t range = 0; range < count; ++range) {
      const int64_t begin = first[range];
      int64_t i = 0;
      for (; i + width <= size; i += width) step(i / width % parts, begin + i, values(begin + i));
      if (i < size)
        step(i / width % parts, begin + i, Vector::head(values(begin + i), size - i, Vector::set(-infinity)));
    }
  }
};

template <class Values>
MOE_GATING_INLINE int64_t count_above(Values values, const Ranges &ranges, float bound) {
  I sum = Vector::set(int32_t{0});
  ranges.for_each(values,
                  [&](int64_t, int64_t, F value) { sum = Vector::count_greater(sum, value, Vector::set(bound)); });
  return Vector::total(sum);
}

template <class Values>
MOE_GATING_INLINE void lane_maxima(Values values, const Ranges &ranges, float *maxima) {
  Maxima largest;
  ranges.for_each(values, [&](int64_t part, int64_t, F value) { largest.see(part, value); });
  largest.store(maxima);
}

// Experts and their values, in ascending order of the experts; a store may go beyond what counts.
struct Candidates {
  int32_t *experts;
  float *values;
  int64_t count;
};

template <bool strictly, class Values>
MOE_GATING_INLINE void append(Values values, const Ranges &ranges, float bound, Candidates &to) {
  const F least = Vector::set(bound);
  int32_t *experts = to.experts;
  float *kept = to.values;
  int64_t count = 0;
  ranges.for_each(values, [&](int64_t, int64_t i, F value) {
    count += Vector::append<strictly>(experts + count, kept + count, static_cast<int32_t>(i), value, least);
  });
  to.count = count;
}

// Writes the experts of the values for which compare() has bits, ascending, behind the `count` that are there, as long as
// there are fewer than `usual`. Returns how many there would be. There is room for two times `usual`.
template <class Values, class Compare>
MOE_GATING_INLINE int64_t collect(Values values, const Ranges &ranges, Compare compare, int32_t *experts,
                                  int64_t count) {
  for (int64_t range = 0; range < ranges.count; ++range) {
    for (int64_t begin = ranges.first[range], left = ranges.size; left > 0; begin += 64, left -= 64) {
      uint64_t bits = 0;
      if (left >= 64) {
        for (int64_t i = 0; i < 64; i += width) bits |= compare(values(begin + i)) << i;
      } else {
        for (int64_t i = 0; i < left; i += width) bits |= compare(values(begin + i)) << i;
        bits &= (uint64_t{1} << left) - 1;
      }
      Vector::unpack(bits, std::min<int64_t>(left, 64), static_cast<int32_t>(begin), experts + std::min(count, usual));
      count += __builtin_popcountll(bits);
    }
  }
  return count;
}

// Appends experts whose values equal `bound`, ascending, until there are k.
template <class Values>
void append_equal(Values values, const Ranges &ranges, float bound, int64_t k, Candidates &to) {
  ranges.for_each(values, [&](int64_t, int64_t i, F value) {
    for (uint64_t bits = Vector::equal(value, Vector::set(bound)); bits != 0 && to.count < k; bits &= bits - 1) {
      to.experts[to.count] = static_cast<int32_t>(i + __builtin_ctzll(bits));
      to.values[to.count++] = bound;
    }
  });
}

// Writes the k experts with the largest values, best first. Those outside of the ranges and those that are not greater than
// -inf tie: the lower index wins.
inline void select(const float *values, int64_t experts, const Ranges &ranges, int64_t k, int32_t *chosen) {
  int64_t order[MOE_GATING_MAX_EXPERTS];  // what sorts ascending
  const auto place = [=](int32_t key, int64_t expert) { return -int64_t{key} * MOE_GATING_MAX_EXPERTS + expert; };
  for (int64_t i = 0; i < experts; ++i) order[i] = place(key_of(-infinity), i);
  for (int64_t range = 0; range < ranges.count; ++range)
    for (int64_t i = ranges.first[range]; i < ranges.first[range] + ranges.size; ++i)
      order[i] = place(std::max(key_of(values[i]), key_of(-infinity)), i);
  std::partial_sort(order, order + k, order + experts);
  for (int64_t i = 0; i < k; ++i) chosen[i] = static_cast<int32_t>(order[i] & (MOE_GATING_MAX_EXPERTS - 1));
}

}  // namespace
}  // namespace moe_gating
