// Operations that choose elements by an index or a condition.
#include <algorithm>
#include <numeric>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {
namespace {

// x[..., indices, ...]: which dimensions of x have an index, and where the sizes of the indices together stand in the
// result: in torch at the front, or where the indexed dimensions stood if these are neighbours.
struct Indexing {
  std::vector<size_t> dims;
  std::vector<View> indices;
  std::vector<int64_t> common;
  size_t at = 0;
  std::vector<int64_t> counting;  // 0, 1, ... for indices that are made here

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
        from += Inside(places[i][static_cast<size_t>(n)], x.sizes[dims[i]]) * x.strides[dims[i]];
      for (size_t d = 0; d < common.size(); ++d) to += n / steps[d] % common[d] * result.strides[at + d];
      slice.data = x.data + from * ElementSize(x.dtype);
      place.data = result.data + to * ElementSize(result.dtype);
      use(slice, place);
    }
  }
};

// An index for every dimension of x: along dim the given one, along the others each element's own place.
Indexing Along(const View &index, int64_t dim) {
  Indexing indexing;
  const auto &sizes = index.sizes;
  indexing.counting.resize(static_cast<size_t>(sizes.empty() ? 0 : *std::max_element(sizes.begin(), sizes.end())));
  std::iota(indexing.counting.begin(), indexing.counting.end(), 0);
  for (size_t d = 0; d < sizes.size(); ++d) {
    std::vector<int64_t> alone(sizes.size(), 1);
    alone[d] = sizes[d];
    indexing.Add(d, static_cast<int64_t>(d) == dim ? index : Over(indexing.counting, alone));
  }
  return indexing;
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

// y = condition ? a : b, all broadcast.
void Select(const View &condition, const View &a, const View &b, const View &y) {
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

// y = x, but y[indices] = values, broadcast, or the sum of both.
void Put(const Indexing &indexing, const View &x, const View &values, bool add, const View &y) {
  if (x.data != y.data) Copy(x, y);
  const auto sizes = indexing.Sizes(y);
  WithArithmetic(ArithmeticOf(y.dtype), [&](auto zero) {
    const auto given = Values<decltype(zero)>(values, sizes);
    indexing.Each(y, Over(given, sizes), [add](const View &slice, const View &value) {
      add ? Combine<Add>(slice, value, slice) : Copy(value, slice);
    });
  });
}

void CheckRank(const View &x, const View &index) {
  if (x.sizes.size() != index.sizes.size())
    Invalid("index " + Sizes(index.sizes) + " does not have the dimensions of " + Sizes(x.sizes));
}

}  // namespace

// y[..., i, ...] = x[..., index[..., i, ...], ...] along dim.
void GatherAlong(Call &call) {
  const View &x = call.In(0), &index = call.In(1);
  const int64_t dim = Dimension(call.Integer("dim"), x.sizes.size());
  CheckRank(x, index);
  call.Out(x.dtype, index.sizes);
  call.work = [dim](const Views &in, Views &out) { Along(in[1], dim).Each(in[0], out[0], Copy); };
}

// x with y[..., index[..., i, ...], ...] = source[..., i, ...] along axis, or the sum of both.
void ScatterAlong(Call &call) {
  const auto reduction = call.Text("reduction", "none");
  if (reduction != "none" && reduction != "add") Invalid("reduction " + reduction + " is not implemented");
  const int64_t dim = Dimension(call.Integer("axis"), call.In(0).sizes.size());
  const auto &wanted = call.In(1).sizes, &given = call.In(2).sizes;
  CheckRank(call.In(0), call.In(1));
  const auto reaches = [](int64_t size, int64_t index) { return size >= index; };
  if (given.size() == wanted.size() && !std::equal(given.begin(), given.end(), wanted.begin(), reaches))
    Invalid(call.inputs[2].name + " " + Sizes(given) + " is smaller than the index " + Sizes(wanted));
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.work = [dim, add = reduction == "add"](const Views &in, Views &out) {
    View source = in[2];
    if (source.sizes.size() == in[1].sizes.size()) source.sizes = in[1].sizes;  // a part of it as large as the index
    Put(Along(in[1], dim), in[0], source, add, out[0]);
  };
}

void ScatterSum(Call &call) {
  call.attributes.emplace_back("reduction", std::string("add"));
  ScatterAlong(call);
}

// The slices of x along `axis`.
void Take(Call &call) {
  const auto dim = static_cast<size_t>(Dimension(call.Integer("axis"), call.In(0).sizes.size()));
  if (call.In(0).sizes.empty()) Invalid("a number has no dimension to take slices of");
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

// The same with only the indices that there are: indices_mask says for each dimension whether it has one.
void IndexByTensor(Call &call) {
  const View &x = call.In(0);
  const auto mask = call.Integers("indices_mask");
  const auto indexing = [mask](const Views &in) {
    Indexing indexing;
    size_t next = 1;
    for (size_t d = 0; d < mask.size(); ++d) {
      if (mask[d] != 0) indexing.Add(d, in[next++]);
    }
    return indexing;
  };
  const auto count = static_cast<size_t>(std::count_if(mask.begin(), mask.end(), [](int64_t bit) { return bit != 0; }));
  if (mask.size() > x.sizes.size() || count + 1 != call.inputs.size())
    Invalid("indices_mask " + Sizes(mask) + " does not fit " + std::to_string(call.inputs.size() - 1) + " indices of " +
            Sizes(x.sizes));
  call.Out(x.dtype, indexing(ViewsOf(call.inputs)).Sizes(x));
  call.work = [indexing](const Views &in, Views &out) { indexing(in).Each(in[0], out[0], Copy); };
}

// x[indices] = values, or += values.
void IndexPut(Call &call) {
  call.Out(call.In(0).dtype, call.In(0).sizes);
  IndexingOf(call.In(0), Middle(ViewsOf(call.inputs), 1, 1));
  call.work = [accumulate = call.Integer("accumulate") != 0](const Views &in, Views &out) {
    Put(IndexingOf(in[0], Middle(in, 1, 1)), in[0], in.back(), accumulate, out[0]);
  };
}

void Where(Call &call) {
  const View &a = call.In(1), &b = call.In(2);
  call.Out(a.dtype, BroadcastSizes(call.In(0).sizes, BroadcastSizes(a.sizes, b.sizes)));
  call.work = [](const Views &in, Views &out) { Select(in[0], in[1], in[2], out[0]); };
}

void MaskedFill(Call &call) {
  DemandNumber(call.inputs[2]);
  call.Out(call.In(0).dtype, BroadcastSizes(call.In(0).sizes, call.In(1).sizes));
  call.work = [](const Views &in, Views &out) {
    Select(in[1], Contiguous(in[2].data, in[2].dtype, {}), in[0], out[0]);
  };
}

}  // namespace host_cann::operations
