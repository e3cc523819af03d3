#include "aclnn_operations.h"

#include <cmath>
#include <cstring>
#include <random>

#include "indexing.h"
#include "refuse.h"

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

template <class Draw>
int Random(Call &call, Out self, uint64_t seed, uint64_t offset, Draw draw) {
  call.run = [=](const Views &, const Views &to) {
    std::seed_seq mixed{seed, seed >> 32, offset, offset >> 32};
    std::mt19937_64 generator(mixed);
    std::vector<double> values(static_cast<size_t>(to[0]->count()));
    for (auto &value : values) value = draw(generator);
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {}, self);
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
  const auto at = static_cast<int64_t>(neighbours ? indexed.front() : 0), dimensions = static_cast<int64_t>(common.size());
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
    const bool whole = d >= indices.size() || (indices[d].sizes.size() == 1 && indices[d].count() == 0 && x.sizes[d] != 0);
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

int Operands(Call &call, std::initializer_list<std::pair<const char *, In>> inputs, Out out) {
  for (const auto &[name, tensor] : inputs) {
    if (tensor == nullptr) return call.NullPointer(name);
    call.In(name, tensor);
  }
  if (out == nullptr) return call.NullPointer("out");
  call.Out("out", out);
  return 0;
}

int Cast(Call &call, In self, int dtype, Out out) {
  if (self == nullptr || out == nullptr) return call.NullPointer("self or out");
  if (static_cast<DType>(dtype) != out->view.dtype) return call.Invalid(kBadParam, "dtype is not that of out");
  call.In("self", self);
  call.Out("out", out);
  call.Attribute("dtype", std::string(DTypeName(out->view.dtype)));
  call.run = [](const Views &in, const Views &out_) { return Copy(*in[0], *out_[0]), 0; };
  return 0;
}

int InplaceCopy(Call &call, Out self, In source) {
  if (self == nullptr || source == nullptr) return call.NullPointer("selfRef or src");
  call.In("src", source);
  call.Out("selfRef", self);
  call.run = [](const Views &in, const Views &out) { return Copy(*in[0], *out[0]), 0; };
  return 0;
}

int Fill(Call &call, Out self, Value value) {
  if (self == nullptr || value == nullptr) return call.NullPointer("selfRef or value");
  call.Attribute("value", value->value);
  call.Out("selfRef", self);
  call.run = [number = Number(value)](const Views &, const Views &out) { return Copy(number.view(), *out[0]), 0; };
  return 0;
}

static int FillConstant(Call &call, Out self, double value) {
  const Scalar scalar{value, static_cast<int64_t>(value), DType::kDouble};
  return Fill(call, self, &scalar);
}
int Zero(Call &call, Out self) { return FillConstant(call, self, 0); }
int One_(Call &call, Out self) { return FillConstant(call, self, 1); }

int Arange(Call &call, Value start, Value, Value step, Out out) {
  if (start == nullptr || step == nullptr) return call.NullPointer("start or step");
  call.run = [first = start->value, by = step->value](const Views &, const Views &to) {
    std::vector<double> values(static_cast<size_t>(to[0]->count()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<double>(i) * by;
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {}, out);
}

int Normal(Call &call, Out self, float mean, float std, int64_t seed, int64_t offset) {
  return Random(call, self, static_cast<uint64_t>(seed), static_cast<uint64_t>(offset),
                [=](auto &generator) { return std::normal_distribution<double>(mean, std)(generator); });
}

int Uniform(Call &call, Out self, double from, double to, uint64_t seed, uint64_t offset) {
  return Random(call, self, seed, offset, [=](auto &generator) {
    return std::min(std::uniform_real_distribution<double>(from, to)(generator), from + (to - from) * (1 - 0x1p-11));
  });
}

int RandomIntegers(Call &call, Out self, int64_t from, int64_t to, int64_t seed, int64_t offset) {
  return Random(call, self, static_cast<uint64_t>(seed), static_cast<uint64_t>(offset), [=](auto &generator) {
    return static_cast<double>(std::uniform_int_distribution<int64_t>(from, to - 1)(generator));
  });
}

int Clamp(Call &call, In self, Value least, Value most, Out out) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  call.run = [low = least == nullptr ? -kInfinity : least->value, high = most == nullptr ? kInfinity : most->value](
                 const Views &in, const Views &to) {
    auto values = Values<double>(*in[0], to[0]->sizes);
    for (auto &value : values) value = value != value ? value : std::min(std::max(value, low), high);
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}}, out);
}

// Division that is exact (0), cut towards zero (1) or rounded down (2).
int DivMode(Call &call, In self, In other, int mode, Out out) {
  call.run = [mode](const Views &in, const Views &to) {
    auto values = Values<double>(*in[0], to[0]->sizes);
    const auto divisors = Values<double>(*in[1], to[0]->sizes);
    for (size_t i = 0; i < values.size(); ++i) {
      const double quotient = values[i] / divisors[i];
      values[i] = mode == 1 ? std::trunc(quotient) : mode == 2 ? std::floor(quotient) : quotient;
    }
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

int DivModeNumber(Call &call, In self, Value other, int mode, Out out) {
  if (other == nullptr) return call.NullPointer("other");
  return mode == 2 ? WithNumber<FloorDiv>(call, self, other, out)
                   : mode == 0 ? WithNumber<Div>(call, self, other, out) : call.Invalid(kBadParam, "truncation is not implemented");
}

int Inverse(Call &call, In self, Out out) {
  const bool truth = self != nullptr && self->view.dtype == DType::kBool;
  return truth ? One<LogicalNot>(call, self, out) : One<BitwiseNot>(call, self, out);
}

int Equals(Call &call, In self, In other, Out out) {
  call.run = [](const Views &in, const Views &to) {
    const bool sizes = in[0]->sizes == in[1]->sizes;
    const bool same = sizes && Values<double>(*in[0], in[0]->sizes) == Values<double>(*in[1], in[1]->sizes);
    return FillWith(same ? 1 : 0, *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

int IsClose(Call &call, In self, In other, double rtol, double atol, bool equal_nan, Out out) {
  call.run = [=](const Views &in, const Views &to) {
    auto values = Values<double>(*in[0], to[0]->sizes);
    const auto others = Values<double>(*in[1], to[0]->sizes);
    for (size_t i = 0; i < values.size(); ++i) {
      const double a = values[i], b = others[i];
      const bool near = a == b || (std::isfinite(b) && std::abs(a - b) <= atol + rtol * std::abs(b));
      values[i] = near || (equal_nan && a != a && b != b) ? 1 : 0;
    }
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

int Mean(Call &call, In self, Ints dims, bool keep, int, Out out) {
  const int status = Along<Sum>(call, self, dims, keep, out);
  call.run = [sum = call.run](const Views &in, const Views &to) {
    std::vector<double> total(static_cast<size_t>(to[0]->count()));
    const Views wide{Over(&total, to[0]->sizes)};
    sum(in, wide);
    for (auto &value : total) value /= static_cast<double>(in[0]->count()) / static_cast<double>(total.size());
    return Copy(*wide[0], *to[0]), 0;
  };
  return status;
}

int Softmax(Call &call, In self, int64_t dim, Out out) {
  call.run = [dim](const Views &in, const Views &to) { return host_cann::Softmax(*in[0], dim, *to[0]), 0; };
  return Operands(call, {{"self", self}}, out);
}

int MatrixProduct(Call &call, In self, In other, Out out, int8_t) {
  if (self == nullptr || other == nullptr || out == nullptr) return call.NullPointer("self, mat2 or out");
  const auto &a = self->view.sizes, &b = other->view.sizes, &c = out->view.sizes;
  const bool matrices = a.size() >= 2 && b.size() >= 2 && c.size() >= 2;
  if (!matrices || a.back() != b[b.size() - 2] || c[c.size() - 2] != a[a.size() - 2] || c.back() != b.back()) {
    return call.Invalid(kBadParam, "only [..., m, k] x [..., k, n] is implemented, got " + Sizes(a) + " x " + Sizes(b) + " -> " + Sizes(c));
  }
  call.run = [](const Views &in, const Views &to) { return MatMul(*in[0], *in[1], nullptr, *to[0]), 0; };
  return Operands(call, {{"self", self}, {"mat2", other}}, out);
}

int AddMatrices(Call &call, In self, In a, In b, Value beta, Value alpha, Out out, int8_t) {
  call.run = [scale = AlphaOf(alpha), weight = AlphaOf(beta)](const Views &in, const Views &to) {
    auto product = std::vector<float>(static_cast<size_t>(to[0]->count()));
    MatMul(*in[1], *in[2], nullptr, Over(&product, to[0]->sizes));
    const auto added = Values<float>(*in[0], to[0]->sizes);
    for (size_t i = 0; i < product.size(); ++i) {
      product[i] = static_cast<float>(scale * product[i] + (weight == 0 ? 0 : weight * added[i]));
    }
    return Copy(Over(&product, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"mat1", a}, {"mat2", b}}, out);
}

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
  call.run = [dim](const Views &in, const Views &to) { return Gather(*in[0], dim, *in[1], *to[0]) ? 0 : kIndexOutside; };
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
  call.run = [number = Number(value)](const Views &in, const Views &to) { return Select(*in[1], number.view(), *in[0], *to[0]), 0; };
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
      for (size_t d = 0; d < strides.size(); ++d) found.push_back(static_cast<int64_t>(i) / strides[d] % in[0]->sizes[d]);
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

int MoeGatingTopK(Call &call, In x, In bias, int64_t k, int64_t k_group, int64_t group_count, int64_t group_select_mode,
                  int64_t renorm, int64_t norm_type, bool out_flag, double scale, double eps, Out y, Out expert_idx,
                  Out norm_out) {
  if (x == nullptr || y == nullptr || expert_idx == nullptr || norm_out == nullptr) {
    return call.NullPointer("x, yOut, expertIdxOut or outOut");
  }
  const auto dtype = x->view.dtype;
  if (dtype != DType::kFloat && dtype != DType::kHalf && dtype != DType::kBFloat16) {
    return call.Invalid(kBadParam, std::string("x is ") + DTypeName(dtype));
  }
  if (y->view.dtype != dtype || expert_idx->view.dtype != DType::kInt32 || norm_out->view.dtype != DType::kFloat ||
      (bias != nullptr && bias->view.dtype != dtype)) {
    return call.Invalid(kBadParam, "bias and yOut must have x's dtype, expertIdxOut int32, outOut float32");
  }
  const Gating gating{k,        k_group,  group_count, group_select_mode, renorm, norm_type,
                      out_flag, static_cast<float>(scale), static_cast<float>(eps)};
  const auto refusal = GatingRefusal(gating, x->view, bias == nullptr ? nullptr : &bias->view);
  if (!refusal.empty()) return call.Invalid(kBadTiling, refusal);
  const std::vector<int64_t> kept = {x->view.sizes[0], k};
  if (y->view.sizes != kept || expert_idx->view.sizes != kept || norm_out->view.sizes != x->view.sizes) {
    return call.Invalid(kBadTiling, "yOut is " + Sizes(y->view.sizes) + ", expertIdxOut " + Sizes(expert_idx->view.sizes) + ", outOut " +
                                        Sizes(norm_out->view.sizes));
  }
  call.In("x", x);
  call.In("bias", bias);
  call.Out("y", y);
  call.Out("expert_idx", expert_idx);
  call.Out("out", norm_out);
  call.Attribute("k", k);
  call.Attribute("k_group", k_group);
  call.Attribute("group_count", group_count);
  call.Attribute("group_select_mode", group_select_mode);
  call.Attribute("renorm", renorm);
  call.Attribute("norm_type", norm_type);
  call.Attribute("out_flag", out_flag);
  call.Attribute("routed_scaling_factor", scale);
  call.Attribute("eps", eps);
  call.run = [gating](const Views &in, const Views &out) {
    return GatingTopK(gating, *in[0], in[1] ? &*in[1] : nullptr, *out[0], *out[1], *out[2]);
  };
  return 0;
}

}  // namespace host_cann::aclnn
