// Operations that order elements, and that find those which are not zero.
#include <algorithm>
#include <numeric>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {

void TopK(const View &x, int64_t dim, bool largest, const View &values, const View &indices) {
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

namespace {

// `result` with dimension dim, which may have disappeared, of one element.
View Kept(const View &result, const View &x, int64_t dim) {
  auto sizes = x.sizes;
  if (!sizes.empty()) sizes[static_cast<size_t>(dim)] = 1;
  return Contiguous(result.data, result.dtype, sizes);
}

// The k first along dim, all for a negative k.
void Order(Call &call, int64_t dim, int64_t k, bool largest) {
  auto sizes = call.In(0).sizes;
  dim = Dimension(dim, sizes.size());
  const int64_t size = sizes.empty() ? 1 : sizes[static_cast<size_t>(dim)];
  if (k > size) Invalid("k " + std::to_string(k) + " is more than the " + std::to_string(size) + " elements");
  if (k >= 0 && !sizes.empty()) sizes[static_cast<size_t>(dim)] = k;
  call.Out(call.In(0).dtype, sizes);
  call.Out(static_cast<DType>(call.Integer("indices_dtype", static_cast<int64_t>(DType::kInt32))), sizes);
  call.work = [dim, largest](const Views &in, Views &out) { TopK(in[0], dim, largest, out[0], out[1]); };
}

}  // namespace

void TopKAlong(Call &call) {
  const int64_t k = call.Integer("k");
  if (k < 0) Invalid("k is " + std::to_string(k));
  Order(call, call.Integer("dim", -1), k, call.Integer("largest", 1) != 0);
}

void Sort(Call &call) { Order(call, call.Integer("axis", -1), -1, call.Integer("descending") != 0); }

void Extreme(Call &call, bool largest, int values, int indices) {
  const View &x = call.In(0);
  const int64_t dim = Dimension(call.Integer("dimension"), x.sizes.size());
  if (!x.sizes.empty() && x.sizes[static_cast<size_t>(dim)] == 0) Invalid("there is no largest of no elements");
  const auto reduced = ReducedDimensions(x.sizes.size(), {dim});
  const auto left = ReducedSizes(x.sizes, reduced, call.Integer("keep_dims") != 0);
  const auto of_indices = static_cast<DType>(call.Integer("dtype", static_cast<int64_t>(DType::kInt32)));
  for (int i = 0; i <= std::max(values, indices); ++i) call.Out(i == values ? x.dtype : of_indices, left);
  call.work = [=](const Views &in, Views &out) {
    std::vector<double> unwanted(static_cast<size_t>(out[0].count()));
    const View best = values < 0 ? Over(unwanted, out[0].sizes) : out[static_cast<size_t>(values)];
    TopK(in[0], dim, largest, Kept(best, in[0], dim), Kept(out[static_cast<size_t>(indices)], in[0], dim));
  };
}

// How many elements there are is known when the work is done; torch_npu waits for it and asks for the output's sizes.
void MaskedSelect(Call &call) {
  const auto sizes = BroadcastSizes(call.In(0).sizes, call.In(1).sizes);
  call.Out(call.In(0).dtype, {Count(sizes)});
  call.work = [sizes](const Views &in, Views &out) {
    const auto chosen = Values<int64_t>(in[1], sizes);
    WithArithmetic(ArithmeticOf(in[0].dtype), [&](auto zero) {
      const auto values = Values<decltype(zero)>(in[0], sizes);
      std::vector<decltype(zero)> kept;
      for (size_t i = 0; i < values.size(); ++i) {
        if (chosen[i] != 0) kept.push_back(values[i]);
      }
      out[0] = Contiguous(out[0].data, out[0].dtype, {static_cast<int64_t>(kept.size())});
      Copy(Over(kept, out[0].sizes), out[0]);
    });
  };
}

void Places(Call &call, bool transposed) {
  const View &x = call.In(0);
  const auto rank = static_cast<int64_t>(x.sizes.size());
  call.Out(DType::kInt64, transposed ? std::vector<int64_t>{rank, x.count()} : std::vector<int64_t>{x.count(), rank});
  call.work = [transposed](const Views &in, Views &out) {
    const auto values = Values<double>(in[0]);
    const auto strides = ContiguousStrides(in[0].sizes);
    std::vector<int64_t> found;
    int64_t rows = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == 0) continue;
      ++rows;
      for (size_t d = 0; d < strides.size(); ++d)
        found.push_back(static_cast<int64_t>(i) / strides[d] % in[0].sizes[d]);
    }
    View places = Over(found, {rows, static_cast<int64_t>(strides.size())});
    if (transposed) {
      std::swap(places.sizes[0], places.sizes[1]);
      std::swap(places.strides[0], places.strides[1]);
    }
    out[0] = Contiguous(out[0].data, out[0].dtype, places.sizes);
    Copy(places, out[0]);
  };
}

}  // namespace host_cann::operations
