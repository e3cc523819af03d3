// Step 3: the groups of experts that a row keeps.
#pragma once

#include <cstdint>

#include "select.h"

namespace moe_gating {
namespace {

// The largest, and with group_select_mode 1 the second largest, of what each lane has seen.
template <bool two>
struct Largest {
  F first, second;

  void see(F value) {
    if (two) second = Vector::max(Vector::min(value, first), second);
    first = Vector::max(value, first);
  }
};

// Takes pairs of vectors to one: each lane of it has seen what two lanes of the same group had. After log2(width) levels
// lane g holds group g, where slot() said which vector the group begins in.
template <bool two, int level = 0>
void merge_lanes(Largest<two> *groups, int64_t count) {
  if constexpr (1 << level < width) {
    for (int64_t i = 0; i < count; i += 2) {
      F a, b;
      Vector::interleave<level>(groups[i].first, groups[i + 1].first, a, b);
      Largest<two> merged;
      merged.first = Vector::max(a, b);
      if (two) {
        F c, d;
        Vector::interleave<level>(groups[i].second, groups[i + 1].second, c, d);
        merged.second = Vector::max(Vector::min(a, b), Vector::max(c, d));
      }
      groups[i / 2] = merged;
    }
    const int64_t half = (count + 1) / 2;
    if (half % 2 == 1) groups[half] = {Vector::set(-infinity), Vector::set(-infinity)};
    merge_lanes<two, level + 1>(groups, half);
  }
}

inline int64_t slot(int64_t group) { return (group & ~3) | (group & 1) << 1 | (group >> 1 & 1); }

template <bool two>
void score_groups_by(const float *choice, int64_t group_count, int64_t size, float *scores) {
  const Largest<two> nothing = {Vector::set(-infinity), Vector::set(-infinity)};
  for (int64_t group = 0; group < group_count; group += width) {
    const int64_t count = std::min(width, group_count - group), slots = (count + 3) / 4 * 4;
    Largest<two> groups[width + 1];
    for (int64_t g = 0; g < count; ++g) {
      const float *from = choice + (group + g) * size;
      Largest<two> largest = nothing;
      int64_t i = 0;
      for (; i + width <= size; i += width) largest.see(Vector::load(Float32(), from + i));
      if (i < size) largest.see(load_head(from + i, size - i));
      groups[slot(g)] = largest;
    }
    for (int64_t g = count; g < slots; ++g) groups[slot(g)] = nothing;
    merge_lanes<two>(groups, slots);
    Vector::store(scores + group, two ? Vector::add(groups[0].first, groups[0].second) : groups[0].first);
  }
}

// Writes a score for each group. There is slack behind scores.
inline void score_groups(const float *choice, int64_t group_count, int64_t size, bool two, float *scores) {
  // Of one expert there is no second: its group's score is its value.
  (two && size > 1 ? score_groups_by<true> : score_groups_by<false>)(choice, group_count, size, scores);
}

// Writes the first expert of each group that is kept, ascending.
inline void keep_groups(const int32_t *ranks, int64_t group_count, int64_t size, int64_t k_group, int32_t *kept) {
  int64_t count = 0;
  for (int64_t group = 0; group < group_count; ++group) {
    kept[count] = static_cast<int32_t>(group * size);
    count += ranks[group] < k_group;
  }
}

// The other way to drop groups, for small ones: -inf for their experts.
inline void mask_groups(const int32_t *ranks, int64_t group_count, int64_t size, int64_t k_group, const float *choice,
                        float *masked) {
  for (int64_t group = 0; group < group_count; ++group)
    for (int64_t i = group * size; i < (group + 1) * size; ++i)
      masked[i] = ranks[group] < k_group ? choice[i] : -infinity;
}

}  // namespace
}  // namespace moe_gating
