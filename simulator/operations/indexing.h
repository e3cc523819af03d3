// Views of rows and slices, and indices.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "entry_point.h"
#include "tensor.h"

namespace host_cann {

// The same elements with dimension `dim` as the last one. A number becomes a row of one.
inline View RowsAlong(View view, int64_t dim) {
  if (view.sizes.empty()) return {view.data, view.dtype, {1}, {1}};
  const auto rank = static_cast<int64_t>(view.sizes.size());
  const auto at = static_cast<size_t>(dim < 0 ? dim + rank : dim);
  std::swap(view.sizes[at], view.sizes.back());
  std::swap(view.strides[at], view.strides.back());
  return view;
}

// `view` without `count` dimensions from `first` on.
inline View Without(View view, size_t first, size_t count) {
  const auto begin = static_cast<int64_t>(first), end = begin + static_cast<int64_t>(count);
  view.sizes.erase(view.sizes.begin() + begin, view.sizes.begin() + end);
  view.strides.erase(view.strides.begin() + begin, view.strides.begin() + end);
  return view;
}

// An index counted from the end if it is negative; a device stops at one that is outside.
inline int64_t Inside(int64_t index, int64_t size) {
  if (index < -size || index >= size)
    throw Refusal{kIndexOutside, "index " + std::to_string(index) + " is outside of " + std::to_string(size)};
  return index < 0 ? index + size : index;
}

}  // namespace host_cann
