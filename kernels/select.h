// Step 4: the k experts with the largest values of a row, in descending order; among equals the lower index wins.
// NaN ranks as -inf.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "half.h"
#include "moe_gating_top_k.h"
#include "scores.h"

namespace moe_gating {
namespace {

// Up to here values are ordered by counting, for each, those that come before it; beyond, by radix.
constexpr int64_t few = 128;
constexpr int64_t usual = 16;  // candidates that most rows have at most: they are ordered without a branch
constexpr int64_t slack = 16;  // a store may write this much behind what counts

inline F load_head(const float *from, int64_t lanes) {
  return Vector::head(Vector::load(Float32(), from), lanes, Vector::set(-infinity));
}

// Ranges of experts that take part, in ascending order: the whole row, or the groups that were kept.
struct Ranges {
  int64_t count, size;
  const int32_t *first;  // of each range

  // Calls step(i, vector) for the vectors of each range, which -inf fills up. There is slack behind values.
  template <class Step>
  void for_each(const float *values, Step step) const {
    for (int64_t range = 0; range < count; ++range) {
      const int64_t begin = first[range], end = begin + size;
      int64_t i = begin;
      for (; i + width <= end; i += width) step(i, Vector::load(Float32(), values + i));
      if (i < end) step(i, load_head(values + i, end - i));
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
template <int64_t lanes>
float bound_by_lanes(const float *values, const Ranges &ranges, int64_t k) {
  constexpr int64_t parts = lanes / width;
  const F lowest = Vector::set(-infinity);
  F largest[parts];
  for (F &part : largest) part = lowest;
  for (int64_t range = 0; range < ranges.count; ++range) {
    const float *from = values + ranges.first[range];
    int64_t i = 0;
    for (; i + lanes <= ranges.size; i += lanes)
      for (int64_t part = 0; part < parts; ++part)
        largest[part] = Vector::max(Vector::load(Float32(), from + i + part * width), largest[part]);
    for (int64_t part = 0; part < parts; ++part)
      if (i + part * width < ranges.size)
        largest[part] = Vector::max(load_head(from + i + part * width, std::min(width, ranges.size - i - part * width)),
                                    largest[part]);
  }
  alignas(64) float maxima[lanes];
  for (int64_t part = 0; part < parts; ++part) Vector::store(maxima + part * width, largest[part]);
  F bound = Vector::set(infinity);
  for (int64_t part = 0; part < parts; ++part) {
    I greater = Vector::set(int32_t{0});
    for (int64_t lane = 0; lane < lanes; ++lane)
      greater = Vector::count_greater(greater, Vector::set(maxima[lane]), largest[part]);
    bound =
        Vector::min(bound, Vector::where_less(greater, static_cast<int32_t>(k), largest[part], Vector::set(infinity)));
  }
  return first_lane(reduce(bound, Vector::min));
}

inline int64_t count_above(const float *values, const Ranges &ranges, float bound) {
  alignas(64) int32_t counts[width];
  I sum = Vector::set(int32_t{0});
  ranges.for_each(values, [&](int64_t, F value) { sum = Vector::count_greater(sum, value, Vector::set(bound)); });
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

// Experts and their values, in ascending order of the experts; a store may go beyond what counts.
struct Candidates {
  alignas(64) int32_t experts[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float values[MOE_GATING_MAX_EXPERTS + slack];
  int64_t count;
};

template <bool strictly>
void append(const float *values, const Ranges &ranges, float bound, Candidates &to) {
  const F least = Vector::set(bound);
  int64_t count = 0;
  ranges.for_each(values, [&](int64_t i, F value) {
    count += Vector::append<strictly>(to.experts + count, to.values + count, static_cast<int32_t>(i), value, least);
  });
  to.count = count;
}

// A bound that at least k values reach, found without looking at their order; -inf when that fails.
inline float quick_bound(const float *values, const Ranges &ranges, int64_t k) {
  if (k <= usual) return bound_by_lanes<usual>(values, ranges, k);
  return k <= 64 ? bound_by_lanes<64>(values, ranges, k) : -infinity;
}

// Collects the k best and perhaps more, up to `few`; where values are equal the lower index comes first. Fewer than k only
// when no others are greater than -inf. `bound` is what quick_bound() gave.
inline void collect(const float *values, const Ranges &ranges, int64_t k, float bound, Candidates &to) {
  if (bound > -infinity && count_above(values, ranges, bound) >= k) {
    append<false>(values, ranges, bound, to);
    if (to.count <= few) return;
    bound = -infinity;
  }
  if (bound == -infinity && count_above(values, ranges, bound) >= k) bound = kth_largest(values, ranges, k);
  append<true>(values, ranges, bound, to);
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
  collect(values, ranges, k, bound, candidates);
  sort(candidates, chosen);
  if (candidates.count < k) fill_up(candidates.count, k, experts, chosen);
}

}  // namespace
}  // namespace moe_gating
