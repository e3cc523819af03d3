// Which groups are kept, where there are many of them or they are small: by columns, a vector of `width` rows for each group
// and for each expert.
#pragma once

#include <algorithm>
#include <cstdint>

#include "columns.h"
#include "groups.h"
#include "moe_gating_top_k.h"
#include "scratch.h"
#include "sort.h"

namespace moe_gating {
namespace {

// Writes 0 for the k_group groups with the largest scores and 1 for the others; among equals the lower group is kept.
inline void drop_groups(const float *scores, int64_t group_count, int64_t k_group, int32_t *dropped) {
  alignas(64) int32_t keys[MOE_GATING_MAX_GROUPS * width], sorted[MOE_GATING_MAX_GROUPS * width];
  for (int64_t group = 0; group < group_count; ++group) {
    const I key = Vector::key(Vector::load(scores + group * width));
    Vector::store(keys + group * width, key);
    Vector::store(sorted + group * width, key);
  }
  int64_t count = group_count;
  for (; count % run != 0; ++count) Vector::store(sorted + count * width, Vector::set(lowest_key));
  Sortable<int32_t>(sorted, count).sort();

  const I limit = Vector::load(sorted + (k_group - 1) * width), zero = Vector::set(int32_t{0});
  I equals = Vector::set(static_cast<int32_t>(k_group));  // so many of those that equal the limit are kept
  for (int64_t i = 0; i < k_group; ++i)
    equals = Vector::sub(equals, Vector::count_greater(zero, Vector::load(sorted + i * width), limit));
  for (int64_t group = 0; group < group_count; ++group) {
    const I key = Vector::load(keys + group * width);
    const I not_less = Vector::count_not_less(zero, key, limit), greater = Vector::count_greater(zero, key, limit);
    const I equal = Vector::min(Vector::sub(not_less, greater), equals);
    equals = Vector::sub(equals, equal);
    Vector::store(dropped + group * width, Vector::sub(Vector::set(int32_t{1}), Vector::add(greater, equal)));
  }
}

// The largest score of each group or, with `two`, the sum of its two largest.
inline void score_groups_by_columns(const float *choice, int64_t group_count, int64_t size, bool two, F factor,
                                    float *scores) {
  for (int64_t group = 0; group < group_count; ++group) {
    Largest<true> largest{Vector::set(-infinity), Vector::set(-infinity)};
    for (int64_t i = group * size; i < (group + 1) * size; ++i) largest.see(Vector::load(choice + i * width));
    const F score = two && size > 1 ? Vector::add(largest.first, largest.second) : largest.first;
    Vector::store(scores + group * width, Vector::mul(score, factor));
  }
}

// Of groups that are not small, for `width` rows: a row of scores for each.
inline void keep_many(const float *scores, int64_t group_count, int64_t size, int64_t k_group, float *columns,
                      Kept *kept) {
  alignas(64) int32_t dropped[MOE_GATING_MAX_GROUPS * width];
  for (int64_t first = 0; first < group_count; first += lanes) {
    const Columns of_lanes = Columns::load(scores + first, MOE_GATING_MAX_GROUPS);
    for (int64_t i = 0; i < lanes; ++i) Vector::store(columns + (first + i) * width, of_lanes.of[i]);
  }
  drop_groups(columns, group_count, k_group, dropped);
  for (int64_t row = 0; row < width; ++row) {
    int64_t count = 0;
    for (int64_t group = 0; group < group_count; ++group) {
      kept[row][count] = static_cast<int32_t>(group * size);
      count += 1 - dropped[group * width + row];
    }
  }
}

// Writes for `width` rows what decides, with -inf for the experts of the groups that are dropped. choice_of(row) is a row.
template <class ChoiceOf>
void mask_small_groups(int64_t group_count, int64_t size, int64_t k_group, bool two, ChoiceOf choice_of, F factor,
                       Scratch &scratch, float *masked, int64_t stride) {
  alignas(64) float scores[MOE_GATING_MAX_GROUPS * width];
  alignas(64) int32_t dropped[MOE_GATING_MAX_GROUPS * width];
  float *const columns = scratch.columns.floats;
  const int64_t experts = group_count * size;
  for (int64_t i = 0; i < experts; i += width) {
    F tile[width];
    for (int64_t row = 0; row < width; ++row) tile[row] = choice_of(row)(i);
    Vector::transpose(tile);
    for (int64_t lane = 0; lane < width; ++lane) Vector::store(columns + (i + lane) * width, tile[lane]);
  }
  score_groups_by_columns(columns, group_count, size, two, factor, scores);
  drop_groups(scores, group_count, k_group, dropped);
  for (int64_t group = 0; group < group_count; ++group) {
    const I drops = Vector::load(dropped + group * width);
    for (int64_t i = group * size; i < (group + 1) * size; ++i)
      Vector::store(columns + i * width,
                    Vector::where_less(drops, 1, Vector::load(columns + i * width), Vector::set(-infinity)));
  }
  for (int64_t i = 0; i < experts; i += width) {
    F tile[width];
    for (int64_t lane = 0; lane < width; ++lane) tile[lane] = Vector::load(columns + (i + lane) * width);
    Vector::transpose(tile);
    for (int64_t row = 0; row < width; ++row) Vector::store(masked + row * stride + i, tile[row]);
  }
}

}  // namespace
}  // namespace moe_gating
