// Step 3, where there are many groups or they are small: by columns, a vector of `width` rows for each group and for each
// expert.
#pragma once

#include <algorithm>
#include <cstdint>

#include "columns.h"
#include "groups.h"
#include "kept.h"
#include "moe_gating_top_k.h"
#include "scratch.h"
#include "sort.h"

namespace moe_gating {
namespace {

// The k_group groups with the largest scores, for up to `width` rows; among equals the lower group is kept.
inline void keep_by_columns(const float *scores, int64_t rows, int64_t group_count, int64_t size, int64_t k_group,
                            Offsets *offsets) {
  alignas(64) int32_t keys[MOE_GATING_MAX_GROUPS * width], sorted[MOE_GATING_MAX_GROUPS * width];
  for (int64_t group = 0; group < group_count; ++group) {
    const I key = Vector::key(Vector::load(scores + group * width));
    Vector::store(keys + group * width, key);
    Vector::store(sorted + group * width, key);
  }
  int64_t count = group_count;
  for (; count % run != 0; ++count) Vector::store(sorted + count * width, Vector::set(lowest_key));
  const I limit = Sortable<int32_t>(sorted, count).kth(k_group), zero = Vector::set(int32_t{0});
  I equals = Vector::set(static_cast<int32_t>(k_group));  // so many of those that equal the limit are kept
  for (int64_t group = 0; group < group_count; ++group)
    equals = Vector::sub(equals, Vector::count_greater(zero, Vector::load(keys + group * width), limit));
  I kept[2] = {zero, zero};
  for (int64_t group = 0; group < group_count; ++group) {
    const I key = Vector::load(keys + group * width);
    const I not_less = Vector::count_not_less(zero, key, limit), greater = Vector::count_greater(zero, key, limit);
    const I equal = Vector::min(Vector::sub(not_less, greater), equals);
    equals = Vector::sub(equals, equal);
    const I dropped = Vector::sub(Vector::set(int32_t{1}), Vector::add(greater, equal));
    I &kept_of_32 = group < 32 ? kept[0] : kept[1];
    kept_of_32 = Vector::add_where_less(kept_of_32, dropped, 1, static_cast<int32_t>(uint32_t{1} << group % 32));
  }
  int32_t low[width], high[width];
  Vector::store(low, kept[0]);
  Vector::store(high, kept[1]);
  for (int64_t row = 0; row < rows; ++row)
    write_offsets(uint64_t{static_cast<uint32_t>(high[row])} << 32 | static_cast<uint32_t>(low[row]), k_group, size,
                  offsets[row]);
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

// Of groups that are not small: a row of scores for each row.
inline void keep_many(const float *scores, int64_t rows, int64_t group_count, int64_t size, int64_t k_group,
                      float *columns, Offsets *offsets) {
  to_columns(scores, most_lanes, group_count, columns);
  keep_by_columns(columns, rows, group_count, size, k_group, offsets);
}

// Of small groups; choice_of(row) is what decides in a row, which scores of groups are divided by 1 / `factor`.
template <class ChoiceOf>
void keep_small(ChoiceOf choice_of, F factor, int64_t rows, int64_t group_count, int64_t size, int64_t k_group,
                bool two, float *columns, Offsets *offsets) {
  alignas(64) float scores[MOE_GATING_MAX_GROUPS * width];
  for (int64_t i = 0; i < group_count * size; i += width) {
    F tile[width];
    for (int64_t row = 0; row < width; ++row) tile[row] = choice_of(row)(i);
    Vector::transpose(tile);
    for (int64_t lane = 0; lane < width; ++lane) Vector::store(columns + (i + lane) * width, tile[lane]);
  }
  score_groups_by_columns(columns, group_count, size, two, factor, scores);
  keep_by_columns(scores, rows, group_count, size, k_group, offsets);
}

}  // namespace
}  // namespace moe_gating
