// The order of up to 16 candidates of a row: their keys, in which the last four bits give way to their places, are sorted in
// columns. What that leaves uncertain is found afterwards, by the values.
#pragma once

#include <cstdint>

#include "columns.h"
#include "sort.h"

namespace moe_gating {
namespace {

// 15 minus the place: among equals the one that comes first is the greatest.
alignas(64) constexpr int32_t codes_of_places[lanes] = {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

// The keys of the candidates at `first` and after.
inline I with_places(I keys, int64_t first) {
  return Vector::add(Vector::both(keys, Vector::set(int32_t{~15})), Vector::load(codes_of_places + first));
}

alignas(64) constexpr int32_t places[lanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

inline I places_of(I keys) {
  return Vector::sub(Vector::set(int32_t{15}), Vector::both(keys, Vector::set(int32_t{15})));
}

// Sorts in each of `width` rows.
MOE_GATING_INLINE void sort_rows(Square<int32_t> &square, int64_t first) {
  Columns columns = Columns::load(square[first], lanes);
  I keys[lanes];
  for (int64_t lane = 0; lane < lanes; ++lane) keys[lane] = Vector::bits(columns.of[lane]);
  sort_run(keys);
  for (int64_t lane = 0; lane < lanes; ++lane) columns.of[lane] = Vector::floats(keys[lane]);
  columns.store(square[first], lanes);
}

}  // namespace
}  // namespace moe_gating
