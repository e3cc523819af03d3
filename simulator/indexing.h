// Operations that choose elements: along one dimension by order or by index, anywhere by a condition.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "elementwise.h"

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

// The part of `view` that has the sizes of `like`, its last dimension excepted.
inline View Within(View view, const View &like) {
  for (size_t d = 0; d + 1 < view.sizes.size(); ++d) view.sizes[d] = like.sizes[d];
  return view;
}

// The first of x's elements along dim in descending (largest) or ascending order, equal ones by index; NaN is largest.
inline void TopK(const View &x, int64_t dim, bool largest, const View &values, const View &indices) {
  const View rows = RowsAlong(x, dim), kept = RowsAlong(values, dim), places = RowsAlong(indices, dim);
  const auto length = static_cast<size_t>(rows.sizes.back()), k = static_cast<size_t>(kept.sizes.back());
  WithArithmetic(ArithmeticOf(x.dtype), [&](auto zero) {
    using T = decltype(zero);
    const auto all = Values<T>(rows, rows.sizes);
    std::vector<T> best;
    std::vector<int64_t> chosen, order(length);
    for (size_t row = 0; row * length < all.size(); ++row) {
      const T *at = all.data() + row * length;
      const auto before = [at, largest](int64_t a, int64_t b) {
        const T left = at[largest ? a : b], right = at[largest ? b : a];
        const bool ordered = left > right || (left != left && right == right);
        const bool reversed = right > left || (right != right && left == left);
        return ordered || (!reversed && a < b);
      };
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(k), order.end(), before);
      for (size_t i = 0; i < k; ++i) {
        best.push_back(at[order[i]]);
        chosen.push_back(order[i]);
      }
    }
    Copy(Over(&best, kept.sizes), kept);
    Copy(Over(&chosen, places.sizes), places);
  });
}

// Calls use(element of the row, its index) for every element of `index`; false when an index is outside the row.
template <class T, class Use>
bool EachIndexed(std::vector<T> *rows, int64_t length, const View &index, const Use &use) {
  const auto places = Values<int64_t>(index, index.sizes);
  const int64_t width = index.sizes.back();
  for (size_t i = 0; i < places.size(); ++i) {
    const int64_t place = places[i] < 0 ? places[i] + length : places[i];
    if (place < 0 || place >= length) return false;
    use(&(*rows)[(i / static_cast<size_t>(width)) * static_cast<size_t>(length) + static_cast<size_t>(place)], i);
  }
  return true;
}

// y[..., i, ...] = x[..., index[..., i, ...], ...] along dim.
inline bool Gather(const View &x, int64_t dim, const View &index, const View &y) {
  const View places = RowsAlong(index, dim), rows = Within(RowsAlong(x, dim), places), out = RowsAlong(y, dim);
  bool inside = true;
  WithArithmetic(ArithmeticOf(x.dtype), [&](auto zero) {
    using T = decltype(zero);
    auto from = Values<T>(rows, rows.sizes);
    std::vector<T> gathered(static_cast<size_t>(places.count()));
    inside = EachIndexed(&from, rows.sizes.back(), places, [&](T *element, size_t i) { gathered[i] = *element; });
    Copy(Over(&gathered, places.sizes), out);
  });
  return inside;
}

// y[..., index[..., i, ...], ...] = source[..., i, ...] along dim, or the sum of both; y holds what is not named.
inline bool Scatter(const View &y, int64_t dim, const View &index, const View &source, bool add) {
  const View places = RowsAlong(index, dim), rows = Within(RowsAlong(y, dim), places);
  bool inside = true;
  WithArithmetic(ArithmeticOf(y.dtype), [&](auto zero) {
    using T = decltype(zero);
    auto to = Values<T>(rows, rows.sizes);
    View given = source.sizes.empty() ? source : RowsAlong(source, dim);
    if (!source.sizes.empty()) given.sizes = places.sizes;
    const auto from = Values<T>(given, places.sizes);
    inside = EachIndexed(&to, rows.sizes.back(), places,
                         [&](T *element, size_t i) { *element = add ? *element + from[i] : from[i]; });
    if (inside) Copy(Over(&to, rows.sizes), rows);
  });
  return inside;
}

// The slices of x along `axis` that `index` names; y has index's sizes in the place of that dimension.
inline bool Take(const View &x, int64_t axis, const View &index, const View &y) {
  const auto at = static_cast<size_t>(axis);
  const auto places = Values<int64_t>(index, index.sizes);
  const auto dimensions = static_cast<int64_t>(index.sizes.size());
  View slice = x, to = y;  // both without the dimensions that are walked here
  slice.sizes.erase(slice.sizes.begin() + axis);
  slice.strides.erase(slice.strides.begin() + axis);
  to.sizes.erase(to.sizes.begin() + axis, to.sizes.begin() + axis + dimensions);
  to.strides.erase(to.strides.begin() + axis, to.strides.begin() + axis + dimensions);
  const int64_t step = dimensions == 0 ? 0 : y.strides[at + static_cast<size_t>(dimensions) - 1];
  for (size_t i = 0; i < places.size(); ++i) {
    const int64_t place = places[i] < 0 ? places[i] + x.sizes[at] : places[i];
    if (place < 0 || place >= x.sizes[at]) return false;
    slice.data = x.data + place * x.strides[at] * ElementSize(x.dtype);
    to.data = y.data + static_cast<int64_t>(i) * step * ElementSize(y.dtype);
    Copy(slice, to);
  }
  return true;
}

// y = condition ? a : b, all broadcast.
inline void Select(const View &condition, const View &a, const View &b, const View &y) {
  WithArithmetic(ArithmeticOf(y.dtype), [&](auto zero) {
    using T = decltype(zero);
    const auto chosen = Values<int64_t>(condition, y.sizes);
    auto left = Values<T>(a, y.sizes);
    const auto right = Values<T>(b, y.sizes);
    for (size_t i = 0; i < left.size(); ++i) {
      if (chosen[i] == 0) left[i] = right[i];
    }
    Copy(Over(&left, y.sizes), y);
  });
}

// The parts one behind the other along dim.
inline void Concatenate(const std::vector<View> &parts, int64_t dim, const View &y) {
  const auto at = static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(y.sizes.size()) : dim);
  View slice = y;
  for (const auto &part : parts) {
    if (part.sizes.size() != y.sizes.size()) continue;  // torch lets an empty tensor of one dimension pass
    slice.sizes[at] = part.sizes[at];
    Copy(part, slice);
    slice.data += part.sizes[at] * slice.strides[at] * ElementSize(slice.dtype);
  }
}

}  // namespace host_cann
