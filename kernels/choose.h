// Step 4 for a block of rows: the k experts with the largest values, in descending order; among equals the lower index wins,
// and NaN ranks as -inf. A bound from the maxima of lanes, the few experts that reach it, and their order; rows of which this
// does not say enough go the long way.
#pragma once

#include <algorithm>
#include <cstdint>

#include "block.h"
#include "kept.h"
#include "many.h"
#include "order.h"
#include "sort.h"

namespace moe_gating {
namespace {

// Among the exponentials of a softmax, those whose scores may be equal differ by less than `margin`, relatively, where the
// scores are at least `least_divided`: then a rounding of them is less than that.
constexpr float margin = 0x1p-20f, least_divided = 0x1p-120f;

// Beyond, too many experts reach a bound from 16 lanes.
constexpr int64_t most_usual = 10;

template <class ChoiceOf>
class Choose {
 public:
  Choose(const Block &block, ChoiceOf choice_of)
      : block_(block),
        scratch_(block.scratch),
        choice_of_(choice_of),
        choices_(block.choices()),
        kept_experts_(block.group_size(), block.args.k_group) {}

  // Writes the experts and their scores, best first.
  MOE_GATING_FLATTEN void choose() {
    if (!bound_by_lanes()) {
      std::fill_n(scratch_.unusual, block_.rows, true);
      return choose_unusual();
    }
    find_candidates();
    for (int64_t row = 0; row < block_.rows; ++row) fetch(row);
    order();
    choose_unusual();
  }

 private:
  // Not many chosen experts, of which too many reach such a bound, and not few experts: few.h leaves these to us if their
  // order is not certain.
  bool bound_by_lanes() const {
    return block_.args.k <= most_usual && (block_.args.experts > lanes || block_.drops_groups());
  }

  void find_candidates() {
    if (!block_.bounded) {
      if (block_.drops_groups())
        for (int64_t row = 0; row < block_.rows; ++row) lane_maxima(choice_of_(row), choices_, scratch_.maxima[row]);
      for (int64_t first = 0; first < block_.rows; first += width) {
        Columns columns = Columns::load(scratch_.maxima[first], lanes);
        sort_run(columns.of);
        Vector::store(scratch_.bounds + first, columns.of[block_.args.k - 1]);
      }
    }
    for (int64_t row = 0; row < block_.rows; ++row) {
      const F bound = Vector::set(block_.undivided ? undivided_bound(row) : scratch_.bounds[row]);
      const auto reaches = [&](F value) { return Vector::at_least(value, bound); };
      scratch_.candidate_counts[row] = collect(choice_of_(row), choices_, reaches, scratch_.candidates[row], 0);
    }
    for (int64_t row = 0; row < block_.rows; ++row)
      if (scratch_.candidate_counts[row] > usual) thin(row);
  }

  // Less than a rounding below the bound. Near underflow, where roundings have no limit, all are candidates, and thinned.
  float undivided_bound(int64_t row) const {
    const float bound = scratch_.bounds[row];
    return bound * block_.reciprocal(row) >= least_divided ? bound * (1 - margin) : 0.0f;
  }

  // Of more candidates than usual, those that reach the bound, the greater ones first. While more than `usual` are greater,
  // they alone are left, in other lanes than before, and the bound rises to that of these: above it are fewer than k lanes.
  [[gnu::noinline]] void thin(int64_t row) {
    const auto values = divided(row, choice_of_(row));
    float bound = scratch_.bounds[row] * block_.reciprocal(row);
    if (reach(values, choices_, bound, row)) return;
    Candidates left{scratch_.places, scratch_.values, 0};
    append<true>(values, choices_, bound, left);
    while (true) {
      lane_maxima(Plain{left.values}, left.count, scratch_.maxima[row]);
      bound = kth_of_lanes(scratch_.maxima[row]);
      if (reach(Plain{left.values}, left.count, bound, row)) break;
      keep_greater(left, bound);
    }
    for (int64_t i = 0; i < scratch_.candidate_counts[row]; ++i)
      scratch_.candidates[row][i] = left.places[scratch_.candidates[row][i]];
    if (!block_.undivided) scratch_.bounds[row] = bound;
  }

  // True if at most `usual` are greater than the bound: these, and as many that equal it, are the candidates.
  template <class Values>
  bool reach(Values values, int64_t of, float least, int64_t row) {
    const F bound = Vector::set(least);
    int32_t *const places = scratch_.candidates[row];
    int64_t count = collect(values, of, [&](F value) { return Vector::greater(value, bound); }, places, 0);
    if (count > usual) return false;
    count = std::min(usual, collect(values, of, [&](F value) { return Vector::equal(value, bound); }, places, count));
    scratch_.candidate_counts[row] = count;
    return true;
  }

  static void keep_greater(Candidates &left, float bound) {
    int32_t places[MOE_GATING_MAX_EXPERTS + slack];
    Candidates greater{places, left.values, 0};
    append<true>(Plain{left.values}, left.count, bound, greater);
    for (int64_t i = 0; i < greater.count; ++i) left.places[i] = left.places[places[i]];
    left.count = greater.count;
  }

  float kth_of_lanes(const float *maxima) const {
    float kth = -infinity;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      uint64_t reach = 0;
      for (int64_t i = 0; i < lanes; i += width)
        reach |= Vector::at_least(Vector::load(maxima + i), Vector::set(maxima[lane])) << i;
      if (__builtin_popcountll(reach) >= block_.args.k) kth = std::max(kth, maxima[lane]);
    }
    return kth;
  }

  Product divided(int64_t row, Plain choice) const { return {choice.values, block_.reciprocal(row)}; }
  Biased divided(int64_t, Biased choice) const { return choice; }

  // The scores of the candidates, and what decides among them.
  void fetch(int64_t row) {
    const int64_t count = scratch_.candidate_counts[row];
    const auto values = divided(row, choice_of_(row));
    for (int64_t i = 0; i < lanes; i += width) {
      const I places = Vector::load(scratch_.candidates[row] + i);
      I experts = places;
      if (block_.drops_groups()) {
        experts = kept_experts_.at(scratch_.offsets[row], places);
        Vector::store(scratch_.candidate_experts[row] + i, experts);
      }
      F scores = Vector::set(0.0f);
      if (block_.args.bias != nullptr) {
        scores = Vector::gather(block_.scores(row), experts);
        Vector::store(scratch_.candidate_scores[row] + i, scores);
      }
      const F value = Vector::head(values.gather(places, scores), count - i, Vector::set(-infinity));
      Vector::store(scratch_.candidate_values[row] + i, value);
      Vector::store(scratch_.order[row] + i, with_places(Vector::key(value), i));
    }
    scratch_.unusual[row] = !(count >= block_.args.k && count <= usual && scratch_.bounds[row] > -infinity);
  }

  // Writes the candidates in order, and marks the rows whose order is not certain.
  [[gnu::noinline]] MOE_GATING_FLATTEN void order() {
    const auto &weights = block_.args.bias == nullptr ? scratch_.candidate_values : scratch_.candidate_scores;
    for (int64_t first = 0; first < block_.rows; first += width) sort_rows(scratch_.order, first);
    for (int64_t row = 0; row < block_.rows; ++row) {
      const int32_t *const experts = block_.drops_groups() ? scratch_.candidate_experts[row] : scratch_.candidates[row];
      for (int64_t i = 0; i < lanes; i += width) {
        const I places = places_of(Vector::load(scratch_.order[row] + i));
        Vector::store(scratch_.chosen[row] + i, Vector::pick(experts, places));
        Vector::store(scratch_.ordered[row] + i, Vector::pick(scratch_.candidate_values[row], places));
        Vector::store(scratch_.weights[row] + i, Vector::pick(weights[row], places));
      }
      scratch_.ordered[row][lanes] = -infinity;
    }
    for (int64_t row = 0; row < block_.rows; ++row)
      for (int64_t i = 0; i < lanes; i += width)
        if (Vector::any_less(Vector::load(scratch_.ordered[row] + i), Vector::load(scratch_.ordered[row] + i + 1)))
          scratch_.unusual[row] = true;
  }

  [[gnu::noinline]] void choose_unusual() {
    const bool bounded = bound_by_lanes();
    int64_t rows[rows_per_block], count = 0;
    for (int64_t row = 0; row < block_.rows; ++row) {
      rows[count] = row;
      scratch_.wide_bounds[count] = scratch_.bounds[row] * block_.reciprocal(row);
      count += scratch_.unusual[row];
    }
    if (count == 0) return;
    const auto values_of = [&](int64_t row) { return divided(row, choice_of_(row)); };
    Many(rows, count, block_.args.k, bounded, values_of, choices_, scratch_).choose();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = rows[i], found = std::min(scratch_.candidate_counts[row], block_.args.k);
      for (int64_t j = 0; j < found; ++j) scratch_.chosen[row][j] = expert_at(row, scratch_.chosen[row][j]);
      fill_up(scratch_.chosen[row], found);
      block_.fetch_weights(row);
    }
  }

  // Experts that have no value, or none that is greater than -inf, come last: the lower index wins.
  void fill_up(int32_t *chosen, int64_t found) const {
    int64_t count = found;
    for (int32_t expert = 0; count < block_.args.k; ++expert)
      if (std::find(chosen, chosen + found, expert) == chosen + found) chosen[count++] = expert;
  }

  int32_t expert_at(int64_t row, int32_t place) const {
    return block_.drops_groups() ? kept_experts_.at(scratch_.offsets[row], place) : place;
  }

  const Block &block_;
  Scratch &scratch_;
  const ChoiceOf choice_of_;
  const int64_t choices_;
  const KeptExperts kept_experts_;
};

}  // namespace
}  // namespace moe_gating
