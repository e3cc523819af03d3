// The aclnn operations that order, choose and place elements.
#include <cstring>

#include "aclnn_operations.h"
#include "indexing.h"

namespace host_cann::aclnn {
namespace {

constexpr int kIndexOutside = 507015;  // ACL_ERROR_RT_AICORE_EXCEPTION: what a device says of it

int64_t Dimension(int64_t dim, In self) { return dim < 0 ? dim + static_cast<int64_t>(self->view.sizes.size()) : dim; }

// Sizes that a result has where a dimension was reduced to one element, whether or not it was kept.
View Kept(const View &result, const View &self, int64_t dim) {
  auto sizes = self.sizes;
  if (!sizes.empty()) sizes[static_cast<size_t>(dim)] = 1;
  return Contiguous(result.data, result.dtype, sizes);
}

// Calls use(slice of x at the indices, slice of the indexed result) for every place that the indices name together.
// Undefined indices (empty tensors) leave their dimension whole; as in torch the places come first, or stand where the
// indexed dimensions stood when these are neighbours.
template <class Use>
bool EachPlace(const View &x, const std::vector<View> &indices, const View &result, const Use &use) {
  std::vector<int64_t> common;
  std::vector<size_t> indexed;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (indices[d].sizes.size() == 1 && indices[d].count() == 0 && x.sizes[d] != 0) continue;
    indexed.push_back(d);
    if (!BroadcastSizes(Contiguous(nullptr, DType::kInt64, common), indices[d], &common)) return false;
  }
  std::vector<std::vector<int64_t>> places;
  for (const auto d : indexed) places.push_back(Values<int64_t>(indices[d], common));
  const bool neighbours = !indexed.empty() && indexed.back() - indexed.front() + 1 == indexed.size();
  const auto at = static_cast<int64_t>(neighbours ? indexed.front() : 0),
             dimensions = static_cast<int64_t>(common.size());
  View slice = x, to = result;
  for (size_t i = indexed.size(); i-- > 0;) {
    slice.sizes.erase(slice.sizes.begin() + static_cast<int64_t>(indexed[i]));
    slice.strides.erase(slice.strides.begin() + static_cast<int64_t>(indexed[i]));
  }
  to.sizes.erase(to.sizes.begin() + at, to.sizes.begin() + at + dimensions);
  to.strides.erase(to.strides.begin() + at, to.strides.begin() + at + dimensions);
  std::vector<int64_t> counter(common.size(), 0);
  for (int64_t n = 0; n < Count(common); ++n) {
    int64_t from = 0, offset = 0;
    for (size_t i = 0; i < indexed.size(); ++i) {
      const int64_t size = x.sizes[indexed[i]];
      const int64_t place = places[i][static_cast<size_t>(n)] + (places[i][static_cast<size_t>(n)] < 0 ? size : 0);
      if (place < 0 || place >= size) return false;
      from += place * x.strides[indexed[i]];
    }
    for (size_t d = 0; d < counter.size(); ++d) offset += counter[d] * result.strides[static_cast<size_t>(at) + d];
    slice.data = x.data + from * ElementSize(x.dtype);
    to.data = result.data + offset * ElementSize(result.dtype);
    use(slice, to);
    for (size_t d = counter.size(); d-- > 0;) {
      if (++counter[d] < common[d]) break;
      counter[d] = 0;
    }
  }
  return true;
}

// The sizes of x[indices].
std::vector<int64_t> IndexedSizes(const View &x, const std::vector<View> &indices) {
  std::vector<int64_t> common, sizes;
  size_t first = x.sizes.size(), last = 0, count = 0;
  for (size_t d = 0; d < x.sizes.size(); ++d) {
    const bool whole =
        d >= indices.size() || (indices[d].sizes.size() == 1 && indices[d].count() == 0 && x.sizes[d] != 0);
    if (whole) {
      sizes.push_back(x.sizes[d]);
      continue;
    }
    BroadcastSizes(Contiguous(nullptr, DType::kInt64, common), indices[d], &common);
    first = std::min(first, d);
    last = d;
    ++count;
  }
  const bool neighbours = count > 0 && last - first + 1 == count;
  sizes.insert(sizes.begin() + static_cast<int64_t>(neighbours ? first : 0), common.begin(), common.end());
  return sizes;
}

std::vector<View> From(const Views &views, size_t first) {
  std::vector<View> rest;
  for (size_t i = first; i < views.size(); ++i) rest.push_back(*views[i]);
  return rest;
}

int WithList(Call &call, List list, const char *name) {
  if (list == nullptr) return call.NullPointer(name);
  for (size_t i = 0; i < list->tensors.size(); ++i) call.In((name + std::to_string(i)).c_str(), list->tensors[i]);
  return 0;
}

}  // namespace

int TopK(Call &call, In self, int64_t, int64_t dim, bool largest, bool, Out values, Out indices) {
  if (self == nullptr || values == nullptr || indices == nullptr) return call.NullPointer("self, values or indices");
  call.In("self", self);
  call.Out("values", values);
  call.Out("indices", indices);
  call.run = [dim, largest](const Views &in, const Views &to) {
    return host_cann::TopK(*in[0], dim, largest, *to[0], *to[1]), 0;
  };
  return 0;
}

int Sort(Call &call, In self, bool, int64_t dim, bool descending, Out values, Out indices) {
  return TopK(call, self, 0, dim, descending, true, values, indices);
}

int Extremes(Call &call, In self, int64_t dim, bool, Out values, Out indices, bool largest) {
  if (self == nullptr) return call.NullPointer("self");
  const int status = TopK(call, self, 1, dim, largest, true, values, indices);
  call.run = [dim = Dimension(dim, self), largest](const Views &in, const Views &to) {
    return host_cann::TopK(*in[0], dim, largest, Kept(*to[0], *in[0], dim), Kept(*to[1], *in[0], dim)), 0;
  };
  return status;
}

int ArgMax(Call &call, In self, int64_t dim, bool, Out out) {
  if (self == nullptr) return call.NullPointer("self");
  call.run = [dim = Dimension(dim, self)](const Views &in, const Views &to) {
    std::vector<double> best(static_cast<size_t>(to[0]->count()));
    const View values = Kept(Over(&best, to[0]->sizes), *in[0], dim);
    return host_cann::TopK(*in[0], dim, true, values, Kept(*to[0], *in[0], dim)), 0;
  };
  return Operands(call, {{"self", self}}, out);
}

int GatherAlong(Call &call, In self, int64_t dim, In index, Out out) {
  call.run = [dim](const Views &in, const Views &to) {
    return Gather(*in[0], dim, *in[1], *to[0]) ? 0 : kIndexOutside;
  };
  return Operands(call, {{"self", self}, {"index", index}}, out);
}

int TakeSlices(Call &call, In self, int64_t dim, In index, Out out) {
  if (self == nullptr) return call.NullPointer("self");
  call.run = [dim = Dimension(dim, self)](const Views &in, const Views &to) {
    return Take(*in[0], dim, *in[1], *to[0]) ? 0 : kIndexOutside;
  };
  return Operands(call, {{"self", self}, {"index", index}}, out);
}

// reduce: 0 replaces, 1 adds.
int ScatterTo(Call &call, In self, int64_t dim, In index, In source, int64_t reduce, Out out) {
  if (reduce > 1) return call.Invalid(kBadParam, "only replacing and adding are implemented");
  call.run = [dim, reduce](const Views &in, const Views &to) {
    if (in[0]->data != to[0]->data) Copy(*in[0], *to[0]);
    return Scatter(*to[0], dim, *in[1], *in[2], reduce == 1) ? 0 : kIndexOutside;
  };
  return Operands(call, {{"self", self}, {"index", index}, {"src", source}}, out);
}

int ScatterInPlace(Call &call, Out self, int64_t dim, In index, In source, int64_t reduce) {
  return ScatterTo(call, self, dim, index, source, reduce, self);
}

int ScatterNumberTo(Call &call, In self, int64_t dim, In index, Value value, int64_t reduce, Out out) {
  if (value == nullptr) return call.NullPointer("value");
  if (reduce > 1) return call.Invalid(kBadParam, "only replacing and adding are implemented");
  call.Attribute("value", value->value);
  call.run = [dim, reduce, number = Number(value)](const Views &in, const Views &to) {
    if (in[0]->data != to[0]->data) Copy(*in[0], *to[0]);
    return Scatter(*to[0], dim, *in[1], number.view(), reduce == 1) ? 0 : kIndexOutside;
  };
  return Operands(call, {{"self", self}, {"index", index}}, out);
}

int ScatterNumberInPlace(Call &call, Out self, int64_t dim, In index, Value value, int64_t reduce) {
  return ScatterNumberTo(call, self, dim, index, value, reduce, self);
}

int SelectWhere(Call &call, In condition, In self, In other, Out out) {
  call.run = [](const Views &in, const Views &to) { return Select(*in[0], *in[1], *in[2], *to[0]), 0; };
  return Operands(call, {{"condition", condition}, {"self", self}, {"other", other}}, out);
}

int MaskedFill(Call &call, Out self, In mask, In value) {
  call.run = [](const Views &in, const Views &to) {
    return Select(*in[1], Contiguous(in[2]->data, in[2]->dtype, {}), *in[0], *to[0]), 0;
  };
  return Operands(call, {{"selfRef", self}, {"mask", mask}, {"value", value}}, self);
}

int MaskedFillNumber(Call &call, Out self, In mask, Value value) {
  if (value == nullptr) return call.NullPointer("value");
  call.Attribute("value", value->value);
  call.run = [number = Number(value)](const Views &in, const Views &to) {
    return Select(*in[1], number.view(), *in[0], *to[0]), 0;
  };
  return Operands(call, {{"selfRef", self}, {"mask", mask}}, self);
}

// How many elements there are is known when the work is done; torch_npu waits for it and asks for the output's sizes.
int MaskedSelect(Call &call, In self, In mask, Out out) {
  call.run = [out](const Views &in, const Views &to) {
    std::vector<int64_t> sizes;
    BroadcastSizes(*in[0], *in[1], &sizes);
    const auto chosen = Values<int64_t>(*in[1], sizes);
    const auto values = Values<double>(*in[0], sizes);
    std::vector<double> kept;
    for (size_t i = 0; i < values.size(); ++i) {
      if (chosen[i] != 0) kept.push_back(values[i]);
    }
    const std::vector<int64_t> found = {static_cast<int64_t>(kept.size())};
    const_cast<Tensor *>(out)->view.sizes = found;
    return Copy(Over(&kept, found), Contiguous(to[0]->data, to[0]->dtype, found)), 0;
  };
  return Operands(call, {{"self", self}, {"mask", mask}}, out);
}

static int Places(Call &call, In self, Out out, bool transposed) {
  call.run = [out, transposed](const Views &in, const Views &to) {
    const auto values = Values<double>(*in[0], in[0]->sizes);
    const auto strides = ContiguousStrides(in[0]->sizes);
    std::vector<int64_t> found;
    int64_t rows = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == 0) continue;
      ++rows;
      for (size_t d = 0; d < strides.size(); ++d)
        found.push_back(static_cast<int64_t>(i) / strides[d] % in[0]->sizes[d]);
    }
    View places = Over(&found, {rows, static_cast<int64_t>(strides.size())});
    if (transposed) {
      std::swap(places.sizes[0], places.sizes[1]);
      std::swap(places.strides[0], places.strides[1]);
    }
    const_cast<Tensor *>(out)->view.sizes = places.sizes;
    return Copy(places, Contiguous(to[0]->data, to[0]->dtype, places.sizes)), 0;
  };
  return Operands(call, {{"self", self}}, out);
}
int Nonzero(Call &call, In self, Out out) { return Places(call, self, out, false); }
int NonzeroV2(Call &call, In self, Out out) { return Places(call, self, out, true); }

int IndexBy(Call &call, In self, List indices, Out out) {
  call.run = [](const Views &in, const Views &to) {
    const auto copy = [](const View &slice, const View &place) { Copy(slice, place); };
    return EachPlace(*in[0], From(in, 1), *to[0], copy) ? 0 : kIndexOutside;
  };
  const int status = Operands(call, {{"self", self}}, out);
  return status != 0 ? status : WithList(call, indices, "indices");
}

int IndexPut(Call &call, Out self, List indices, In values, bool accumulate, bool) {
  call.run = [accumulate](const Views &in, const Views &to) {
    std::vector<View> all = From(in, 1);
    const View given = *in[0];
    std::vector<int64_t> sizes = IndexedSizes(*to[0], all);
    std::vector<double> spread = Values<double>(given, sizes);
    const auto put = [accumulate](const View &slice, const View &value) {
      accumulate ? Binary<Add>(slice, value, slice) : Copy(value, slice);
    };
    return EachPlace(*to[0], all, Over(&spread, sizes), put) ? 0 : kIndexOutside;
  };
  const int status = Operands(call, {{"values", values}}, self);
  return status != 0 ? status : WithList(call, indices, "indices");
}

int Cat(Call &call, List tensors, int64_t dim, Out out) {
  call.run = [dim](const Views &in, const Views &to) { return Concatenate(From(in, 0), dim, *to[0]), 0; };
  const int status = Operands(call, {}, out);
  return status != 0 ? status : WithList(call, tensors, "tensors");
}

int Stack(Call &call, List tensors, int64_t dim, Out out) {
  call.run = [dim](const Views &in, const Views &to) {
    auto parts = From(in, 0);
    const auto at = dim < 0 ? dim + static_cast<int64_t>(to[0]->sizes.size()) : dim;
    for (auto &part : parts) {
      part.sizes.insert(part.sizes.begin() + at, 1);
      part.strides.insert(part.strides.begin() + at, 0);
    }
    return Concatenate(parts, at, *to[0]), 0;
  };
  const int status = Operands(call, {}, out);
  return status != 0 ? status : WithList(call, tensors, "tensors");
}

}  // namespace host_cann::aclnn
