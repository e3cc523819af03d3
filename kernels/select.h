// Step 4: the k experts with the largest values of a row, in descending order; among equals the lower index wins.
// NaN ranks as -inf.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "columns.h"
#include "half.h"
#include "moe_gating_top_k.h"
#include "scores.h"

namespace moe_gating {
namespace {

// Up to here values are ordered by counting, for each, those that come before it; beyond, by radix.
constexpr int64_t few = 128;
constexpr int64_t usual = 16;  // candidates that most rows have at most: they are ordered without a branch
constexpr int64_t slack = 16;  // a store may write this much behind what counts

// What decides: the scores, or their sums with the bias.
struct Plain {
  const float *values;
  F operator()(int64_t i) const { return Vector::load(Float32(), values + i); }
};
struct Product {
  const float *values;
  F factor;
  F operator()(int64_t i) const { return Vector::mul(Vector::load(Float32(), values + i), factor); }
};
struct Biased {
  const float *values, *bias;
  F operator()(int64_t i) const {
    return Vector::add(Vector::load(Float32(), values + i), Vector::load(Float32(), bias + i));
  }
};

inline F load_head(const float *from, int64_t lanes) {
  return Vector::head(Vector::load(Float32(), from), lanes, Vector::set(-infinity));
}

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

struct Units {
  alignas(64) int32_t rows[width][width] = {};
  constexpr Units() {
    for (int64_t i = 0; i < width; ++i) rows[i][i] = 1;
  }
};
constexpr Units units;

// How many values come before each one of `count`, at most `few`. NaN comes last. There is slack behind both.
inline void rank(const float *values, int64_t count, int32_t *ranks) {
  alignas(64) int32_t keys[few + slack];
  for (int64_t i = 0; i < count; i += width) Vector::store(keys + i, Vector::key(Vector::load(Float32(), values + i)));
  for (int64_t i = 0; i < count; i += width) {
    // An earlier one comes before when its key is not less, a later one only when its key is greater.
    I bound = Vector::add(Vector::load(keys + i), Vector::set(int32_t{-1}));
    I rank = Vector::set(int32_t{0});
    for (int64_t j = 0; j < i; ++j) rank = Vector::count_greater(rank, Vector::set(keys[j]), bound);
    for (int64_t j = i; j < std::min(i + width, count); ++j) {
      bound = Vector::add(bound, Vector::load(units.rows[j - i]));
      rank = Vector::count_greater(rank, Vector::set(keys[j]), bound);
    }
    for (int64_t j = i + width; j < count; ++j) rank = Vector::count_greater(rank, Vector::set(keys[j]), bound);
    Vector::store(ranks + i, rank);
  }
}

// A value that at least k values reach: the k-th largest of the maxima of `lanes` interleaved parts of the row. Tight on
// ordinary data. -inf when there is no such value.
template <int64_t lane_count>
float bound_by_lanes(const float *values, const Ranges &ranges, int64_t k) {
  constexpr int64_t vectors = lane_count / width;
  const F lowest = Vector::set(-infinity);
  F largest[vectors];
  for (F &part : largest) part = lowest;
  for (int64_t range = 0; range < ranges.count; ++range) {
    const float *from = values + ranges.first[range];
    int64_t i = 0;
    for (; i + lane_count <= ranges.size; i += lane_count)
      for (int64_t part = 0; part < vectors; ++part)
        largest[part] = Vector::max(Vector::load(Float32(), from + i + part * width), largest[part]);
    for (int64_t part = 0; part < vectors; ++part)
      if (i + part * width < ranges.size)
        largest[part] = Vector::max(load_head(from + i + part * width, std::min(width, ranges.size - i - part * width)),
                                    largest[part]);
  }
  alignas(64) float maxima[lane_count];
  for (int64_t part = 0; part < vectors; ++part) Vector::store(maxima + part * width, largest[part]);
  F bound = Vector::set(infinity);
  for (int64_t part = 0; part < vectors; ++part) {
    I greater = Vector::set(int32_t{0});
    for (int64_t lane = 0; lane < lane_count; ++lane)
      greater = Vector::count_greater(greater, Vector::set(maxima[lane]), largest[part]);
    bound =
        Vector::min(bound, Vector::where_less(greater, static_cast<int32_t>(k), largest[part], Vector::set(infinity)));
  }
  return first_lane(reduce(bound, [](F a, F b) { return Vector::min(a, b); }));
}

inline int64_t count_above(const float *values, const Ranges &ranges, float bound) {
  alignas(64) int32_t counts[width];
  I sum = Vector::set(int32_t{0});
  ranges.for_each(Plain{values},
                  [&](int64_t, int64_t, F value) { sum = Vector::count_greater(sum, value, Vector::set(bound)); });
  Vector::store(counts, sum);
  int64_t total = 0;
  for (const int32_t count : counts) total += count;
  return total;
}

// By bisection, a value that at most k values are above and at least k reach; -inf when fewer than k are greater.
inline float kth_largest(const float *values, const Ranges &ranges, int64_t k) {
  int64_t low = key_of(-infinity) - 1, high = key_of(infinity);  // more than k above low, fewer than k above high
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    const int64_t above = count_above(values, ranges, value_of(static_cast<int32_t>(middle)));
    if (above == k) return value_of(static_cast<int32_t>(middle));
    (above < k ? high : low) = middle;
  }
  return value_of(static_cast<int32_t>(high));
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

// A bound that at least k values reach, found without looking at their order; -inf when that fails.
inline float quick_bound(const float *values, const Ranges &ranges, int64_t k) {
  if (k <= lanes) return bound_by_lanes<lanes>(values, ranges, k);
  return k <= 64 ? bound_by_lanes<64>(values, ranges, k) : -infinity;
}

// Collects the k best and perhaps more, up to `few`; where values are equal the lower index comes first. Fewer than k only
// when no others are greater than -inf. `bound` is what quick_bound() gave.
inline void collect_many(const float *values, const Ranges &ranges, int64_t k, float bound, Candidates &to) {
  if (bound > -infinity && count_above(values, ranges, bound) >= k) {
    append<false>(Plain{values}, ranges, bound, to);
    if (to.count <= few) return;
    bound = -infinity;
  }
  if (bound == -infinity && count_above(values, ranges, bound) >= k) bound = kth_largest(values, ranges, k);
  append<true>(Plain{values}, ranges, bound, to);
  if (bound == -infinity) return;
  for (int64_t range = 0; range < ranges.count; ++range)
    for (int64_t i = ranges.first[range]; i < ranges.first[range] + ranges.size && to.count < k; ++i) {
      to.experts[to.count] = static_cast<int32_t>(i);
      to.values[to.count] = values[i];
      to.count += values[i] == bound;
    }
}

// Writes the experts by their values, descending, equal ones as they come: four passes of a byte each.
inline void sort_many(const Candidates &candidates, int32_t *sorted) {
  struct Keyed {
    uint32_t key;
    int32_t expert;
  } buffers[2][MOE_GATING_MAX_EXPERTS];
  int32_t ends[4][256] = {};
  for (int64_t i = 0; i < candidates.count; ++i) {
    const uint32_t key = 0x7fffffffu - static_cast<uint32_t>(key_of(candidates.values[i]));
    buffers[0][i] = {key, candidates.experts[i]};
    for (int byte = 0; byte < 4; ++byte) ++ends[byte][key >> (8 * byte) & 255];
  }
  for (int byte = 0; byte < 4; ++byte) {
    int32_t start = 0;
    for (int32_t &end : ends[byte]) start += std::exchange(end, start);
    for (int64_t i = 0; i < candidates.count; ++i) {
      const Keyed &keyed = buffers[byte % 2][i];
      buffers[1 - byte % 2][ends[byte][keyed.key >> (8 * byte) & 255]++] = keyed;
    }
  }
  for (int64_t i = 0; i < candidates.count; ++i) sorted[i] = buffers[0][i].expert;
}

// Writes the experts by their values, descending, equal ones as they come. There is slack behind sorted.
inline void sort(Candidates &candidates, int32_t *sorted) {
  if (candidates.count > few) return sort_many(candidates, sorted);
  alignas(64) int32_t ranks[few + slack];
  rank(candidates.values, candidates.count, ranks);
  for (int64_t i = 0; i < candidates.count; ++i) sorted[ranks[i]] = candidates.experts[i];
}

// Experts outside of the ranges and those that are not greater than -inf tie: the lower index wins.
inline void fill_up(int64_t count, int64_t k, int64_t experts, int32_t *chosen) {
  bool taken[MOE_GATING_MAX_EXPERTS] = {};
  for (int64_t i = 0; i < count; ++i) taken[chosen[i]] = true;
  for (int64_t i = 0; i < experts && count < k; ++i)
    if (!taken[i]) chosen[count++] = static_cast<int32_t>(i);
}

// Writes the k experts with the largest values, best first. There is room for all experts and slack in chosen.
inline void select(const float *values, int64_t experts, const Ranges &ranges, int64_t k, float bound,
                   Candidates &candidates, int32_t *chosen) {
  collect_many(values, ranges, k, bound, candidates);
  sort(candidates, chosen);
  if (candidates.count < k) fill_up(candidates.count, k, experts, chosen);
}

}  // namespace
}  // namespace moe_gating
