// Step 3: the groups of experts that a row keeps.
#pragma once

#include <cstdint>

#include "columns.h"
#include "kept.h"
#include "scratch.h"

namespace moe_gating {
namespace {

// The largest, and with group_select_mode 1 the second largest, of what each lane has seen.
template <bool two>
struct Largest {
  F first, second;

  void see_second(F value) {  // of all: nothing has to be compared with the second largest
    if (two) second = Vector::min(first, value);
    first = Vector::max(first, value);
  }
  void see(F value) {
    if (two) second = Vector::max(second, Vector::min(value, first));
    first = Vector::max(value, first);
  }
};

// Of a vector and another: each lane has seen what two lanes of the same group had.
template <bool two, int level>
Largest<two> merge(const Largest<two> &one, const Largest<two> &other) {
  F a, b;
  Vector::interleave<level>(one.first, other.first, a, b);
  Largest<two> merged;
  merged.first = Vector::max(a, b);
  if (two) {
    F c, d;
    Vector::interleave<level>(one.second, other.second, c, d);
    merged.second = Vector::max(Vector::min(a, b), Vector::max(c, d));
  }
  return merged;
}

// Of 2^levels groups, each the vector of what its lanes have seen, to one vector: with as many lanes, a group in each.
template <bool two, int levels, int slot = 0, class OfGroup>
Largest<two> merge_groups(OfGroup of_group) {
  if constexpr (levels == 0) {
    // Interleaving brings the groups of four vectors to lanes in this order.
    return of_group((slot & ~3) | (slot & 1) << 1 | (slot >> 1 & 1));
  } else {
    return merge<two, levels - 1>(merge_groups<two, levels - 1, slot>(of_group),
                                  merge_groups<two, levels - 1, slot + (1 << (levels - 1))>(of_group));
  }
}

constexpr int log2_of(int64_t n) { return n == 1 ? 0 : 1 + log2_of(n / 2); }

// The groups have `whole` vectors (any number if it is negative) and, if `tailed`, a part of one.
template <bool two, int whole, bool tailed, class Values>
MOE_GATING_INLINE void score_groups_by(Values choice, int64_t group_count, int64_t size, float *scores) {
  constexpr int levels = log2_of(width);
  const F lowest = Vector::set(-infinity);
  const int64_t vectors = whole < 0 ? size / width : whole, rest = size % width;
  for (int64_t first = 0; first < group_count; first += width) {
    const auto of_group = [&](int64_t group) {
      if (first + group >= group_count) return Largest<two>{lowest, lowest};
      const int64_t from = (first + group) * size;
      Largest<two> largest = {vectors > 0 ? choice(from) : lowest, lowest};
      if (vectors > 1) largest.see_second(choice(from + width));
      for (int64_t i = 2; i < vectors; ++i) largest.see(choice(from + i * width));
      if (tailed) largest.see(Vector::head(choice(from + vectors * width), rest, lowest));
      return largest;
    };
    Largest<two> groups;
    if (width > 4 && group_count - first <= width / 2) {  // the other half of the lanes does not matter
      groups = merge_groups<two, levels - 1>(of_group);
      groups = merge<two, levels - 1>(groups, groups);
    } else {
      groups = merge_groups<two, levels>(of_group);
    }
    const F score = two ? Vector::add(groups.first, groups.second) : groups.first;
    Vector::store(scores + first, Vector::head(score, group_count - first, Vector::set(nan)));
  }
}

template <bool two, class Values>
void score_groups_by(Values choice, int64_t group_count, int64_t size, float *scores) {
  if (size == 2 * width) return score_groups_by<two, 2, false>(choice, group_count, size, scores);
  if (size > width && size < 2 * width) return score_groups_by<two, 1, true>(choice, group_count, size, scores);
  if (size % width == 0) return score_groups_by<two, -1, false>(choice, group_count, size, scores);
  score_groups_by<two, -1, true>(choice, group_count, size, scores);
}

// Writes a score for each group, and NaN, which comes last, where a vector has more.
template <class Values>
void score_groups(Values choice, int64_t group_count, int64_t size, bool two, float *scores) {
  // Of one expert there is no second: its group's score is its value.
  if (two && size > 1)
    score_groups_by<true>(choice, group_count, size, scores);
  else
    score_groups_by<false>(choice, group_count, size, scores);
}

// Of up to `most` groups, for up to `width` rows, those that fewer than k_group come before. An earlier group comes before
// when its score is not less, a later one only when its score is greater.
template <int64_t most>
MOE_GATING_INLINE void keep_few(const float *scores, int64_t rows, int64_t size, int64_t k_group, Offsets *offsets) {
  const Columns columns = Columns::load(scores, most_lanes);
  I keys[most], before[most];
  for (int64_t group = 0; group < most; ++group) {
    keys[group] = Vector::key(columns.of[group]);
    before[group] = Vector::set(int32_t{0});
  }
  for (int64_t later = 1; later < most; ++later)
    for (int64_t earlier = 0; earlier < later; ++earlier) {
      before[earlier] = Vector::count_greater(before[earlier], keys[later], keys[earlier]);
      before[later] = Vector::count_not_less(before[later], keys[earlier], keys[later]);
    }
  I bits = Vector::set(int32_t{0});
  for (int64_t group = 0; group < most; ++group)
    bits = Vector::add_where_less(bits, before[group], static_cast<int32_t>(k_group), int32_t{1} << group);
  int32_t bits_of[width];
  Vector::store(bits_of, bits);
  for (int64_t row = 0; row < rows; ++row)
    write_offsets(static_cast<uint32_t>(bits_of[row]), k_group, size, offsets[row]);
}

}  // namespace
}  // namespace moe_gating
