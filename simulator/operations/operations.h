// operations/ is what can be computed, on tensors of the host. It knows the runtime, where a call runs, and the kernel of
// this project; it does not know by which door a call came in.
//
// Here: the operations that the tables of the doors name. Each describes the results and the work of a call, or refuses
// it. Inputs have places, everything else has a name. Families are templates; the others are in arrange.cpp, compute.cpp,
// count.cpp, index.cpp, order.cpp, slice.cpp, and a file for each that makes a gate.
#pragma once

#include "call.h"
#include "reduce.h"

namespace host_cann::operations {

template <class Function>
void Unary(Call &call) {
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.work = [](const Views &in, Views &out) { Map<Function>(in[0], out[0]); };
}

// Function(x1, alpha * x2).
template <class Function>
void Binary(Call &call) {
  const View &a = call.In(0), &b = call.In(1);
  if (a.dtype != b.dtype && !call.promotes) Invalid("the inputs have two dtypes");
  call.Out(a.dtype, BroadcastSizes(a.sizes, b.sizes));
  call.work = [alpha = call.Real("alpha", 1)](const Views &in, Views &out) {
    Combine<Function>(in[0], in[1], out[0], alpha);
  };
}

template <class Function>
void Compare(Call &call) {
  Binary<Function>(call);
  call.results[0].dtype = DType::kBool;
}

template <class Function>
void ReduceAlong(Call &call) {
  const View &x = call.In(0);
  const auto axes = call.Integers("axes");
  auto reduced = ReducedDimensions(x.sizes.size(), axes);
  if (axes.empty() && call.Integer("noop_with_empty_axes") != 0) reduced.assign(reduced.size(), false);
  const auto wanted = static_cast<DType>(call.Integer("dtype", static_cast<int64_t>(x.dtype)));
  call.Out(wanted == DType::kUndefined ? x.dtype : wanted,
           ReducedSizes(x.sizes, reduced, call.Integer("keep_dims") != 0));
  call.work = [reduced](const Views &in, Views &out) { Reduce<Function>(in[0], reduced, out[0]); };
}

template <int value>
void FilledLike(Call &call) {
  call.inputs[0].read = false;
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.work = [](const Views &, Views &out) { Copy(Over(std::vector<int64_t>{value}, {}), out[0]); };
}

// The first of x's elements along dim in descending (largest) or ascending order, equal ones by index; NaN is largest.
void TopK(const View &x, int64_t dim, bool largest, const View &values, const View &indices);

// exp(x - maximum) / sum along one dimension, in float32 or float64.
void Softmax(const View &x, int64_t dim, const View &y);

void Extreme(Call &call, bool largest, int values, int indices);

// The places of the two results; -1: it is not wanted.
template <bool largest, int values, int indices>
void ExtremeAlong(Call &call) {
  Extreme(call, largest, values, indices);
}

void Places(Call &call, bool transposed);

// Where x is not zero: a row of indices for each element, or a column.
template <bool transposed>
void Nonzero(Call &call) {
  Places(call, transposed);
}

void AddMatrices(Call &call);
void AllEqual(Call &call);
void BinCount(Call &call);
void BitwiseInverse(Call &call);
void BroadcastTo(Call &call);
void Cast(Call &call);
void Clamp(Call &call);
void Concat(Call &call);
void CopyEach(Call &call);
void CopyInto(Call &call);
void CumulativeSum(Call &call);
void Divide(Call &call);
void Expand(Call &call);
void FillInto(Call &call);
void Fill(Call &call);
void Flip(Call &call);
void GatherAlong(Call &call);
void Identity(Call &call);
void Index(Call &call);
void IndexByTensor(Call &call);
void IndexPut(Call &call);
void IsClose(Call &call);
void MaskedFill(Call &call);
void MaskedSelect(Call &call);
void MatrixProduct(Call &call);
bool HasHashRouting();  // in the CANN that the stand-in stands for
void MoeGatingTopK(Call &call);
bool HasGradient();  // the same
void MoeGatingTopKBackward(Call &call);
void MoeGatingTopKSoftmax(Call &call);
void MoeGatingTopKSoftmaxV2(Call &call);
void Norm(Call &call);
void NormalInto(Call &call);
void OneHot(Call &call);
void Pack(Call &call);
void RandomInto(Call &call);
void Range(Call &call);
void Repeat(Call &call);
void RepeatElements(Call &call);
void Reshape(Call &call);
void ReverseSub(Call &call);
void Scale(Call &call);
void ScatterAlong(Call &call);
void ScatterSum(Call &call);
void Shape(Call &call);
void SoftmaxAlong(Call &call);
void SoftmaxBackward(Call &call);
void SoftmaxGrad(Call &call);
void Softplus(Call &call);
void SoftplusBackward(Call &call);
void Sort(Call &call);
void Split(Call &call);
void Squeeze(Call &call);
void StridedSlice(Call &call);
void Take(Call &call);
void TopKAlong(Call &call);
void Transpose(Call &call);
void Unpack(Call &call);
void UniformInto(Call &call);
void Where(Call &call);

}  // namespace host_cann::operations
