// Operations that choose and order elements.
#include <algorithm>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {
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

// Undefined indices, which are empty tensors of one dimension, leave their dimension whole.
Indexing IndexingOf(const View &x, const Views &indices) {
  Indexing indexing;
  if (indices.size() > x.sizes.size())
    Invalid(std::to_string(indices.size()) + " indices are more than the dimensions of " + Sizes(x.sizes));
  for (size_t d = 0; d < indices.size(); ++d) {
    const bool whole = indices[d].sizes == std::vector<int64_t>{0} && x.sizes[d] != 0;
    if (!whole) indexing.Add(d, indices[d]);
  }
  return indexing;
}

Views ViewsOf(const std::vector<Operand> &operands) {
  Views views;
  for (const auto &operand : operands) views.push_back(operand.view);
  return views;
}

Views Middle(const Views &views, size_t before, size_t behind) {
  return {views.begin() + static_cast<int64_t>(before), views.end() - static_cast<int64_t>(behind)};
}

}  // namespace

void TopKAlong(Call &call) { Order(call, call.Integer("dim", -1), call.Integer("k"), call.Integer("largest", 1) != 0); }

void Sort(Call &call) { Order(call, call.Integer("axis", -1), -1, call.Integer("descending") != 0); }

void Extreme(Call &call, bool largest, int values, int indices) {
  const View &x = call.In(0);
  const int64_t dim = Dimension(call.Integer("dimension"), x.sizes.size());
  if (!x.sizes.empty() && x.sizes[static_cast<size_t>(dim)] == 0) Invalid("there is no largest of no elements");
  const auto reduced = ReducedDimensions(x.sizes.size(), {dim});
  const auto left = ReducedSizes(x.sizes, reduced, call.Integer("keep_dims") != 0);
  for (int i = 0; i <= std::max(values, indices); ++i) call.Out(i == values ? x.dtype : DType::kInt32, left);
  call.work = [=](const Views &in, Views &out) {
    std::vector<double> unwanted(static_cast<size_t>(out[0].count()));
    const View best = values < 0 ? Over(unwanted, out[0].sizes) : out[static_cast<size_t>(values)];
    TopK(in[0], dim, largest, Kept(best, in[0], dim), Kept(out[static_cast<size_t>(indices)], in[0], dim));
  };
}

void GatherAlong(Call &call) {
  const View &x = call.In(0), &index = call.In(1);
  const int64_t dim = Dimension(call.Integer("dim"), x.sizes.size());
  if (x.sizes.size() != index.sizes.size())
    Invalid("index " + Sizes(index.sizes) + " does not have the dimensions of " + Sizes(x.sizes));
  call.Out(x.dtype, index.sizes);
  call.work = [dim](const Views &in, Views &out) { Gather(in[0], dim, in[1], out[0]); };
}

void ScatterAlong(Call &call) {
  const auto reduction = call.Text("reduction", "none");
  if (reduction != "none" && reduction != "add") Invalid("reduction " + reduction + " is not implemented");
  const int64_t dim = Dimension(call.Integer("axis"), call.In(0).sizes.size());
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.work = [dim, add = reduction == "add"](const Views &in, Views &out) {
    if (in[0].data != out[0].data) Copy(in[0], out[0]);
    Scatter(out[0], dim, in[1], in[2], add);
  };
}

// The slices of x along `axis`.
void Take(Call &call) {
  const auto dim = static_cast<size_t>(Dimension(call.Integer("axis"), call.In(0).sizes.size()));
  Indexing described;
  described.Add(dim, call.In(1));
  call.Out(call.In(0).dtype, described.Sizes(call.In(0)));
  call.work = [dim](const Views &in, Views &out) {
    Indexing indexing;
    indexing.Add(dim, in[1]);
    indexing.Each(in[0], out[0], Copy);
  };
}

// x[indices].
void Index(Call &call) {
  const View &x = call.In(0);
  call.Out(x.dtype, IndexingOf(x, Middle(ViewsOf(call.inputs), 1, 0)).Sizes(x));
  call.work = [](const Views &in, Views &out) { IndexingOf(in[0], Middle(in, 1, 0)).Each(in[0], out[0], Copy); };
}

// x[indices] = values, or += values.
void IndexPut(Call &call) {
  call.Out(call.In(0).dtype, call.In(0).sizes);
  IndexingOf(call.In(0), Middle(ViewsOf(call.inputs), 1, 1));
  call.work = [accumulate = call.Integer("accumulate") != 0](const Views &in, Views &out) {
    const auto indexing = IndexingOf(in[0], Middle(in, 1, 1));
    const auto sizes = indexing.Sizes(in[0]);
    const auto values = Values<double>(in.back(), sizes);
    indexing.Each(out[0], Over(values, sizes), [accumulate](const View &slice, const View &value) {
      accumulate ? Combine<Add>(slice, value, slice) : Copy(value, slice);
    });
  };
}

void Where(Call &call) {
  const View &a = call.In(1), &b = call.In(2);
  call.Out(a.dtype, BroadcastSizes(call.In(0).sizes, BroadcastSizes(a.sizes, b.sizes)));
  call.work = [](const Views &in, Views &out) { Select(in[0], in[1], in[2], out[0]); };
}

void MaskedFill(Call &call) {
  call.Out(call.In(0).dtype, BroadcastSizes(call.In(0).sizes, call.In(1).sizes));
  call.work = [](const Views &in, Views &out) {
    Select(in[1], Contiguous(in[2].data, in[2].dtype, {}), in[0], out[0]);
  };
}

// How many elements there are is known when the work is done; torch_npu waits for it and asks for the output's sizes.
void MaskedSelect(Call &call) {
  const auto sizes = BroadcastSizes(call.In(0).sizes, call.In(1).sizes);
  call.Out(call.In(0).dtype, {Count(sizes)});
  call.work = [sizes](const Views &in, Views &out) {
    const auto chosen = Values<int64_t>(in[1], sizes);
    const auto values = Values<double>(in[0], sizes);
    std::vector<double> kept;
    for (size_t i = 0; i < values.size(); ++i) {
      if (chosen[i] != 0) kept.push_back(values[i]);
    }
    out[0] = Contiguous(out[0].data, out[0].dtype, {static_cast<int64_t>(kept.size())});
    Copy(Over(kept, out[0].sizes), out[0]);
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
