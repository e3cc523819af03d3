// Operations that choose elements: along one dimension by order or by index, anywhere by a condition.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "elementwise.h"
#include "entry_point.h"

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

// `view` without `count` dimensions from `first` on.
inline View Without(View view, size_t first, size_t count) {
  const auto begin = static_cast<int64_t>(first), end = begin + static_cast<int64_t>(count);
  view.sizes.erase(view.sizes.begin() + begin, view.sizes.begin() + end);
  view.strides.erase(view.strides.begin() + begin, view.strides.begin() + end);
  return view;
}

// An index counted from the end if it is negative; a device stops at one that is outside.
inline int64_t Place(int64_t index, int64_t size) {
  if (index < -size || index >= size)
    throw Refusal{kIndexOutside, "index " + std::to_string(index) + " is outside of " + std::to_string(size)};
  return index < 0 ? index + size : index;
}

// The first of x's elements along dim in descending (largest) or ascending order, equal ones by index; NaN is largest.
inline void TopK(const View &x, int64_t dim, bool largest, const View &values, const View &indices) {
  const View rows = RowsAlong(x, dim), kept = RowsAlong(values, dim), places = RowsAlong(indices, dim);
  const auto length = static_cast<size_t>(rows.sizes.back()), k = static_cast<size_t>(kept.sizes.back());
  WithArithmetic(ArithmeticOf(x.dtype), [&](auto zero) {
    using T = decltype(zero);
    const auto all = Values<T>(rows);
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
    Copy(Over(best, kept.sizes), kept);
    Copy(Over(chosen, places.sizes), places);
  });
}

// Calls use(element of the row, its index) for every element of `index`.
template <class T, class Use>
void EachIndexed(std::vector<T> *rows, int64_t length, const View &index, const Use &use) {
  const auto places = Values<int64_t>(index);
  const auto width = static_cast<size_t>(index.sizes.back());
  for (size_t i = 0; i < places.size(); ++i) {
    const auto place = static_cast<size_t>(Place(places[i], length));
    use(&(*rows)[i / width * static_cast<size_t>(length) + place], i);
  }
}

// y[..., i, ...] = x[..., index[..., i, ...], ...] along dim.
inline void Gather(const View &x, int64_t dim, const View &index, const View &y) {
  const View places = RowsAlong(index, dim), rows = Within(RowsAlong(x, dim), places);
  WithArithmetic(ArithmeticOf(x.dtype), [&](auto zero) {
    using T = decltype(zero);
    auto from = Values<T>(rows);
    std::vector<T> gathered(static_cast<size_t>(places.count()));
    EachIndexed(&from, rows.sizes.back(), places, [&](T *element, size_t i) { gathered[i] = *element; });
    Copy(Over(gathered, places.sizes), RowsAlong(y, dim));
  });
}

// y[..., index[..., i, ...], ...] = source[..., i, ...] along dim, or the sum of both; y holds what is not named.
inline void Scatter(const View &y, int64_t dim, const View &index, const View &source, bool add) {
  const View places = RowsAlong(index, dim), rows = Within(RowsAlong(y, dim), places);
  WithArithmetic(ArithmeticOf(y.dtype), [&](auto zero) {
    using T = decltype(zero);
    auto to = Values<T>(rows);
    View given = source.sizes.empty() ? source : RowsAlong(source, dim);
    if (!source.sizes.empty()) given.sizes = places.sizes;
    const auto from = Values<T>(given, places.sizes);
    EachIndexed(&to, rows.sizes.back(), places,
                [&](T *element, size_t i) { *element = add ? *element + from[i] : from[i]; });
    Copy(Over(to, rows.sizes), rows);
  });
}

// x[..., indices, ...]: which dimensions of x have an index, and where the sizes of the indices together stand in the
// result: in torch at the front, or where the indexed dimensions stood if these are neighbours.
struct Indexing {
  std::vector<size_t> dims;
  std::vector<View> indices;
  std::vector<int64_t> common;
  size_t at = 0;

  void Add(size_t dim, const View &index) {
    at = dims.empty() ? dim : dim == dims.back() + 1 ? at : 0;
    dims.push_back(dim);
    indices.push_back(index);
    common = BroadcastSizes(common, index.sizes);
  }

  View Rest(View x) const {
    for (size_t i = dims.size(); i-- > 0;) x = Without(x, dims[i], 1);
    return x;
  }

  std::vector<int64_t> Sizes(const View &x) const {
    auto sizes = Rest(x).sizes;
    sizes.insert(sizes.begin() + static_cast<int64_t>(at), common.begin(), common.end());
    return sizes;
  }

  // Calls use(slice of x, slice of the result) for every place that the indices name together.
  template <class Use>
  void Each(const View &x, const View &result, const Use &use) const {
    std::vector<std::vector<int64_t>> places;
    for (const auto &index : indices) places.push_back(Values<int64_t>(index, common));
    View slice = Rest(x), place = Without(result, at, common.size());
    const auto steps = ContiguousStrides(common);
    for (int64_t n = 0; n < Count(common); ++n) {
      int64_t from = 0, to = 0;
      for (size_t i = 0; i < dims.size(); ++i)
        from += Place(places[i][static_cast<size_t>(n)], x.sizes[dims[i]]) * x.strides[dims[i]];
      for (size_t d = 0; d < common.size(); ++d) to += n / steps[d] % common[d] * result.strides[at + d];
      slice.data = x.data + from * ElementSize(x.dtype);
      place.data = result.data + to * ElementSize(result.dtype);
      use(slice, place);
    }
  }
};

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
    Copy(Over(left, y.sizes), y);
  });
}

// The parts one behind the other along dim.
inline void Concatenate(const std::vector<View> &parts, int64_t dim, const View &y) {
  const auto at = static_cast<size_t>(dim);
  View slice = y;
  for (const auto &part : parts) {
    slice.sizes[at] = part.sizes[at];
    Copy(part, slice);
    slice.data += part.sizes[at] * slice.strides[at] * ElementSize(slice.dtype);
  }
}

}  // namespace host_cann
