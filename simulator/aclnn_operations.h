// What the aclnn operations of the table in aclnn.cpp check and compute: families as templates, the others in
// aclnn_operations.cpp and aclnn_indexing.cpp.
#pragma once

#include <memory>
#include <string>

#include "call.h"
#include "elementwise.h"
#include "ops.h"
#include "reduce.h"

namespace host_cann::aclnn {

using In = const Tensor *;
using Out = const Tensor *;
using Value = const Scalar *;
using Ints = const IntArray *;
using List = const TensorList *;
using Float = float;

// A number as a tensor without dimensions, kept alive by the work that reads it.
struct Number {
  explicit Number(Value scalar) : scalar_(std::make_shared<Scalar>(*scalar)) {}
  View view() const {
    const bool real = ArithmeticOf(scalar_->dtype) != Arithmetic::kInteger;
    void *at = real ? static_cast<void *>(&scalar_->value) : &scalar_->integer;
    return Contiguous(static_cast<uint8_t *>(at), real ? DType::kDouble : DType::kInt64, {});
  }

 private:
  std::shared_ptr<Scalar> scalar_;
};

// Names the operands; a null pointer among them is CANN's 161001.
int Operands(Call &call, std::initializer_list<std::pair<const char *, In>> inputs, Out out);

inline double AlphaOf(Value alpha) { return alpha == nullptr ? 1 : alpha->value; }

template <class Function>
int One(Call &call, In self, Out out) {
  call.run = [](const Views &in, const Views &to) { return Unary<Function>(*in[0], *to[0]), 0; };
  return Operands(call, {{"self", self}}, out);
}

template <class Function>
int Scaled(Call &call, In self, In other, Value alpha, Out out) {
  call.run = [scale = AlphaOf(alpha)](const Views &in, const Views &to) {
    return Binary<Function>(*in[0], *in[1], *to[0], scale), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

template <class Function>
int Two(Call &call, In self, In other, Out out) {
  return Scaled<Function>(call, self, other, nullptr, out);
}

template <class Function>
int ScaledNumber(Call &call, In self, Value other, Value alpha, Out out) {
  if (other == nullptr) return call.NullPointer("other");
  call.Attribute("other", other->value);
  call.run = [number = Number(other), scale = AlphaOf(alpha)](const Views &in, const Views &to) {
    return Binary<Function>(*in[0], number.view(), *to[0], scale), 0;
  };
  return Operands(call, {{"self", self}}, out);
}

template <class Function>
int WithNumber(Call &call, In self, Value other, Out out) {
  return ScaledNumber<Function>(call, self, other, nullptr, out);
}

template <class Function>
int InPlace(Call &call, Out self, In other) {
  return Two<Function>(call, self, other, self);
}
template <class Function>
int ScaledInPlace(Call &call, Out self, In other, Value alpha) {
  return Scaled<Function>(call, self, other, alpha, self);
}
template <class Function>
int NumberInPlace(Call &call, Out self, Value other) {
  return WithNumber<Function>(call, self, other, self);
}
template <class Function>
int ScaledNumberInPlace(Call &call, Out self, Value other, Value alpha) {
  return ScaledNumber<Function>(call, self, other, alpha, self);
}

template <class Function>
int NumberFirst(Call &call, In self, Value other, Value alpha, Out out) {
  if (other == nullptr) return call.NullPointer("other");
  call.run = [number = Number(other), scale = AlphaOf(alpha)](const Views &in, const Views &to) {
    return Binary<Function>(number.view(), *in[0], *to[0], scale), 0;
  };
  return Operands(call, {{"self", self}}, out);
}

template <class Function>
int Along(Call &call, In self, Ints dims, bool keep, Out out) {
  std::vector<bool> reduced;
  const std::vector<int64_t> axes = dims == nullptr ? std::vector<int64_t>{} : dims->values;
  if (self == nullptr || out == nullptr) return call.NullPointer("self or out");
  if (!ReducedDimensions(self->view.sizes.size(), axes, &reduced) ||
      ReducedSizes(self->view.sizes, reduced, keep) != out->view.sizes) {
    return call.Invalid(kBadParam, "dim or keepdim does not fit self and out");
  }
  call.run = [reduced](const Views &in, const Views &to) { return Reduce<Function>(*in[0], reduced, *to[0]), 0; };
  return Operands(call, {{"self", self}}, out);
}

template <class Function>
int AlongAs(Call &call, In self, Ints dims, bool keep, int, Out out) {
  return Along<Function>(call, self, dims, keep, out);
}
template <class Function>
int Whole(Call &call, In self, Out out) {
  return Along<Function>(call, self, nullptr, false, out);
}

template <bool largest>
int Extreme(Call &call, In self, int64_t dim, bool keep, Out values, Out indices);

int AddMatrices(Call &call, In self, In a, In b, Value beta, Value alpha, Out out, int8_t);
int Arange(Call &call, Value start, Value end, Value step, Out out);
int ArgMax(Call &call, In self, int64_t dim, bool keep, Out out);
int Cast(Call &call, In self, int dtype, Out out);
int Cat(Call &call, List tensors, int64_t dim, Out out);
int Clamp(Call &call, In self, Value least, Value most, Out out);
int DivMode(Call &call, In self, In other, int mode, Out out);
int DivModeNumber(Call &call, In self, Value other, int mode, Out out);
int Equals(Call &call, In self, In other, Out out);
int Extremes(Call &call, In self, int64_t dim, bool keep, Out values, Out indices, bool largest);
int Fill(Call &call, Out self, Value value);
int GatherAlong(Call &call, In self, int64_t dim, In index, Out out);
int IndexBy(Call &call, In self, List indices, Out out);
int IndexPut(Call &call, Out self, List indices, In values, bool accumulate, bool);
int InplaceCopy(Call &call, Out self, In source);
int Inverse(Call &call, In self, Out out);
int IsClose(Call &call, In self, In other, double rtol, double atol, bool equal_nan, Out out);
int MaskedFill(Call &call, Out self, In mask, In value);
int MaskedFillNumber(Call &call, Out self, In mask, Value value);
int MaskedSelect(Call &call, In self, In mask, Out out);
int MatrixProduct(Call &call, In self, In other, Out out, int8_t);
int Mean(Call &call, In self, Ints dims, bool keep, int, Out out);
int MoeGatingTopK(Call &call, In x, In bias, int64_t k, int64_t k_group, int64_t group_count, int64_t group_select_mode,
                  int64_t renorm, int64_t norm_type, bool out_flag, double scale, double eps, Out y, Out expert_idx,
                  Out norm_out);
int MoeGatingTopKSoftmaxV2(Call &call, In x, In finished, int64_t k, int64_t renorm, bool output_softmax, Out y,
                           Out expert_idx, Out softmax_result);
int MoeGatingTopKV2(Call &call, In x, In bias, In input_ids, In tid2eid, int64_t k, int64_t k_group,
                    int64_t group_count, int64_t group_select_mode, int64_t renorm, int64_t norm_type, bool out_flag,
                    double scale, double eps, Out y, Out expert_idx, Out norm_out);
int Nonzero(Call &call, In self, Out out);
int NonzeroV2(Call &call, In self, Out out);
int Normal(Call &call, Out self, float mean, float std, int64_t seed, int64_t offset);
int One_(Call &call, Out self);
int RandomIntegers(Call &call, Out self, int64_t from, int64_t to, int64_t seed, int64_t offset);
int ScatterInPlace(Call &call, Out self, int64_t dim, In index, In source, int64_t reduce);
int ScatterNumberInPlace(Call &call, Out self, int64_t dim, In index, Value value, int64_t reduce);
int ScatterNumberTo(Call &call, In self, int64_t dim, In index, Value value, int64_t reduce, Out out);
int ScatterTo(Call &call, In self, int64_t dim, In index, In source, int64_t reduce, Out out);
int SelectWhere(Call &call, In condition, In self, In other, Out out);
int Sort(Call &call, In self, bool, int64_t dim, bool descending, Out values, Out indices);
int Stack(Call &call, List tensors, int64_t dim, Out out);
int Softmax(Call &call, In self, int64_t dim, Out out);
int TakeSlices(Call &call, In self, int64_t dim, In index, Out out);
int TopK(Call &call, In self, int64_t k, int64_t dim, bool largest, bool, Out values, Out indices);
int Uniform(Call &call, Out self, double from, double to, uint64_t seed, uint64_t offset);
int Zero(Call &call, Out self);

template <bool largest>
int Extreme(Call &call, In self, int64_t dim, bool keep, Out values, Out indices) {
  return Extremes(call, self, dim, keep, values, indices, largest);
}

}  // namespace host_cann::aclnn
