// Of many experts a row: those above a bound that is searched for, in order, `rows` at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "candidates.h"
#include "moe_gating_top_k.h"
#include "scratch.h"
#include "sort.h"

namespace moe_gating {
namespace {

// A value and its place in one number, exactly: of equal values that of the lower place is the greater.
constexpr double places_in_a_number = MOE_GATING_MAX_EXPERTS;
constexpr double no_place = -0x1p44;  // less than any

inline void number(const float *values, const int32_t *places, int64_t count, double *numbers) {
  for (int64_t i = 0; i < count; i += width) {
    int32_t keys[width];
    Vector::store(keys, Vector::key(Vector::load(values + i)));
    for (int64_t lane = 0; lane < width; ++lane)
      numbers[i + lane] = keys[lane] * places_in_a_number + (MOE_GATING_MAX_EXPERTS - 1 - places[i + lane]);
  }
}

inline int32_t place_in(double number) {
  number += 0x1.8p52;  // now its integer is in the low bits
  uint64_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return static_cast<int32_t>(MOE_GATING_MAX_EXPERTS - 1 - bits % MOE_GATING_MAX_EXPERTS);
}

// So many that a search for a bound ends soon, and that sorting them costs little more than sorting k.
inline int64_t most_wanted(int64_t k) { return k + k / 4 + 8; }

// The bound comes from the maxima of lanes, at least twice as many as k, unless sorting these takes longer than a search.
inline bool by_lanes(int64_t k, int64_t of) { return k <= 32 || (k <= most_lanes / 2 && of >= 512); }
inline int64_t lanes_for(int64_t k) { return k <= 16 ? 32 : k <= 32 ? 64 : most_lanes; }

// Of so many times k values those that reach the bound are few.
constexpr int64_t few_of_many = 16;

// The largest values of `count` lanes, which the vectors of a row take in turn; NaN is passed over.
template <int64_t count, class Values>
MOE_GATING_INLINE void wide_maxima(Values values, int64_t of, float *to) {
  constexpr int64_t vectors = count / width;
  F maxima[vectors];
  for (F &largest : maxima) largest = Vector::set(-infinity);
  int64_t i = 0;
  for (; i + count <= of; i += count)
    for (int64_t vector = 0; vector < vectors; ++vector)
      maxima[vector] = Vector::max(values(i + vector * width), maxima[vector]);
  for (int64_t vector = 0; vector < vectors && i < of; ++vector, i += width)
    maxima[vector] = Vector::max(Vector::head(values(i), of - i, Vector::set(-infinity)), maxima[vector]);
  for (int64_t vector = 0; vector < vectors; ++vector) Vector::store(to + vector * width, maxima[vector]);
}

template <class Values>
void wide_maxima(Values values, int64_t of, int64_t count, float *to) {
  if (count == 32) return wide_maxima<32>(values, of, to);
  if (count == 64) return wide_maxima<64>(values, of, to);
  wide_maxima<most_lanes>(values, of, to);
}

// For each row a bound that at least k values reach, or -inf.
inline void bounds_by_lanes(int64_t rows, int64_t k, Scratch &scratch) {
  const int64_t count = lanes_for(k);
  for (int64_t first = 0; first < rows; first += width) {
    to_columns(scratch.wide[first], most_lanes, count, scratch.columns.floats);
    Vector::store(scratch.wide_bounds + first, Sortable<float>(scratch.columns.floats, count).kth(k));
  }
}

// The search for a bound that at least k values of a row are above and at most `most`; or, if many values are equal, for one
// that they equal and fewer than k are above.
class Search {
 public:
  template <class Values>
  void begin(Values values, int64_t of, int64_t k) {
    F least = Vector::set(infinity), greatest = Vector::set(-infinity);
    for_each(values, of, [&](int64_t, int64_t, F value) {
      least = Vector::min(value, least);
      greatest = Vector::max(value, greatest);
    });
    below_ = key_of(first_lane(reduce(least, [](F a, F b) { return Vector::min(a, b); }))) - 1.0;
    above_ = key_of(first_lane(reduce(greatest, [](F a, F b) { return Vector::max(a, b); })));
    count_below_ = static_cast<double>(of);
    count_above_ = 0;
    k_ = k;
    found_ = false;
  }

  // One step; true if there is a next one.
  template <class Values>
  bool step(Values values, int64_t of, int step) {
    if (found_ || above_ - below_ <= 1) return false;
    const double wanted = static_cast<double>(k_ + most_wanted(k_)) / 2;
    const double share = step % 3 == 0 ? 0.5 : (count_below_ - wanted) / (count_below_ - count_above_);
    const double middle = std::max(below_ + 1, std::min(above_ - 1, std::floor(below_ + (above_ - below_) * share)));
    const float bound = value_of(static_cast<int32_t>(middle));
    const int64_t count = count_above(values, of, bound);
    found_ = count >= k_ && count <= most_wanted(k_);
    const bool lower = count < k_ || found_;
    (lower ? above_ : below_) = middle;
    (lower ? count_above_ : count_below_) = static_cast<double>(count);
    if (step % 6 == 0 && !found_) move_to_value(values, of, lower, bound);
    return true;
  }

  template <class Values>
  MOE_GATING_INLINE static int64_t count_above(Values values, int64_t of, float bound) {
    I sum = Vector::set(int32_t{0});
    for_each(values, of,
             [&](int64_t, int64_t, F value) { sum = Vector::count_greater(sum, value, Vector::set(bound)); });
    return Vector::total(sum);
  }

  // From `middle` on to the next value of the row: where many are equal, there is nothing to be found between.
  template <class Values>
  [[gnu::noinline]] void move_to_value(Values values, int64_t of, bool lower, float middle) {
    F next_below = Vector::set(-infinity), next_above = Vector::set(infinity);
    for_each(values, of, [&](int64_t, int64_t, F value) {
      const I above = Vector::count_greater(Vector::set(int32_t{0}), value, Vector::set(middle));
      next_below = Vector::max(Vector::where_less(above, 1, value, Vector::set(-infinity)), next_below);
      next_above = Vector::min(Vector::where_less(above, 1, Vector::set(infinity), value), next_above);
    });
    if (lower)
      above_ = key_of(first_lane(reduce(next_below, [](F a, F b) { return Vector::max(a, b); })));
    else
      below_ = key_of(first_lane(reduce(next_above, [](F a, F b) { return Vector::min(a, b); }))) - 1.0;
  }

  float bound() const { return value_of(static_cast<int32_t>(above_)); }

 private:
  // The places of two values among all floats, which are about as good as logarithms, and how many values are greater: more
  // than `most` than the one, fewer than k than the other.
  double below_, above_, count_below_, count_above_;
  int64_t k_;
  bool found_;
};

// Of each of some of a block's rows the places of the k largest of `of` values, best first. `bounded`: wide_bounds has, for
// each of them, a bound that at least k values reach, or -inf.
template <class ValuesOf>
class Many {
 public:
  Many(const int64_t *rows, int64_t count, int64_t k, bool bounded, ValuesOf values_of, int64_t of, Scratch &scratch)
      : rows_(rows), count_(count), k_(k), values_of_(values_of), of_(of), scratch_(scratch) {
    all_ = of <= most_wanted(k);
    bounded_ = bounded || by_lanes(k, of);
    if (all_ || bounded) return;
    if (bounded_) {
      for (int64_t i = 0; i < count; ++i) wide_maxima(values_of(rows[i]), of, lanes_for(k), scratch.wide[i]);
      bounds_by_lanes(count, k, scratch);
    } else {
      search(0, count);
    }
  }

  // Where there are fewer than k that are greater than -inf, candidate_counts says how many.
  void choose() {
    for (int64_t first = 0; first < count_; first += at_once) {
      const int64_t last = std::min(first + at_once, count_);
      int64_t count = 0;
      for (int64_t i = first; i < last; ++i) to_column(i, i - first, count);
      Sortable<double>(columns(), count).sort();
      for (int64_t i = first; i < last; ++i)
        for (int64_t j = 0; j < k_; ++j) scratch_.chosen[rows_[i]][j] = place_in(columns()[j * at_once + i - first]);
    }
  }

 private:
  static constexpr int64_t at_once = width / 2;
  double *columns() { return scratch_.columns.doubles; }

  // A step for each row before the next one: none waits for the other.
  void search(int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) searches_[i].begin(values_of_(rows_[i]), of_, k_);
    bool going = true;
    for (int step = 1; going; ++step) {
      going = false;
      for (int64_t i = first; i < last; ++i) going |= searches_[i].step(values_of_(rows_[i]), of_, step);
    }
  }

  // At least k places of those that are greater than -inf, and not many more; fewer where there are not as many.
  Candidates collect(int64_t i) {
    Candidates to{scratch_.places, scratch_.values, 0};
    const auto values = values_of_(rows_[i]);
    if (all_) {
      append<true>(values, of_, -infinity, to);
      return to;
    }
    if (bounded_ && scratch_.wide_bounds[i] > -infinity) {
      if (of_ < few_of_many * k_ || !append_few(values, of_, scratch_.wide_bounds[i], to))
        append<false>(values, of_, scratch_.wide_bounds[i], to);
      if (to.count >= k_ && to.count <= 2 * most_wanted(k_)) return to;
      append_with_shared_bound(values, scratch_.wide_bounds[i], to);
      if (to.count == k_) return to;
    }
    if (bounded_) search(i, i + 1);
    append_with_shared_bound(values, searches_[i].bound(), to);
    return to;
  }

  // The values above a bound and, where they are fewer than k, as many that equal it.
  template <class Values>
  void append_with_shared_bound(Values values, float bound, Candidates &to) const {
    append<true>(values, of_, bound, to);
    if (to.count < k_ && bound > -infinity) append_equal(values, of_, bound, k_, to);
  }

  void to_column(int64_t row, int64_t column, int64_t &count) {
    const Candidates candidates = collect(row);
    scratch_.candidate_counts[rows_[row]] = candidates.count;
    for (; count < candidates.count; count += run) std::fill_n(columns() + count * at_once, run * at_once, no_place);
    double numbers[MOE_GATING_MAX_EXPERTS + slack];
    number(candidates.values, candidates.places, candidates.count, numbers);
    for (int64_t i = 0; i < candidates.count; ++i) columns()[i * at_once + column] = numbers[i];
  }

  const int64_t *const rows_;
  const int64_t count_, k_;
  const ValuesOf values_of_;
  const int64_t of_;
  Scratch &scratch_;
  bool all_, bounded_;
  Search searches_[rows_per_block];
};

}  // namespace
}  // namespace moe_gating
