// What the node types of the table in node_types.cpp compute: families as templates, the others in nodes.cpp.
#pragma once

#include "elementwise.h"
#include "node_types.h"
#include "reduce.h"

namespace host_cann::nodes {

// A dimension counted from the end; -1 when there is no such one among `rank`.
inline int64_t Dimension(int64_t dim, size_t rank) {
  const auto count = static_cast<int64_t>(rank);
  return dim < -count || dim >= count ? -1 : dim < 0 ? dim + count : dim;
}

template <class Function>
int OfOne(NodeCall &call) {
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.run = [](const Views &in, const Views &out) { return Unary<Function>(*in[0], *out[0]), 0; };
  return 0;
}

template <class Function>
int OfTwoTo(NodeCall &call, DType dtype) {
  std::vector<int64_t> sizes;
  if (call.In(0).dtype != call.In(1).dtype) return call.Invalid("the inputs have two dtypes");
  if (!BroadcastSizes(call.In(0), call.In(1), &sizes)) return call.Invalid("the sizes of the inputs do not fit");
  call.Out(dtype, sizes);
  call.run = [](const Views &in, const Views &out) { return Binary<Function>(*in[0], *in[1], *out[0]), 0; };
  return 0;
}

template <class Function>
int OfTwo(NodeCall &call) {
  return OfTwoTo<Function>(call, call.In(0).dtype);
}

template <class Function>
int Compare(NodeCall &call) {
  return OfTwoTo<Function>(call, DType::kBool);
}

template <class Function>
int ReduceTo(NodeCall &call) {
  std::vector<int64_t> axes;
  std::vector<bool> reduced;
  if (const int status = call.Integers(1, &axes)) return status;
  if (!ReducedDimensions(call.In(0).sizes.size(), axes, &reduced))
    return call.Invalid("axes names a dimension that x does not have");
  call.Out(call.In(0).dtype, ReducedSizes(call.In(0).sizes, reduced, call.node.Integer("keep_dims") != 0));
  call.run = [reduced](const Views &in, const Views &out) { return Reduce<Function>(*in[0], reduced, *out[0]), 0; };
  return 0;
}

int ArgMaxWithValue(NodeCall &call);
int BroadcastTo(NodeCall &call);
int Cast(NodeCall &call);
int ConcatD(NodeCall &call);
int ConcatV2(NodeCall &call);
int ExpandDims(NodeCall &call);
int Fill(NodeCall &call);
int Gather(NodeCall &call);
int GatherElements(NodeCall &call);
int GatherV2(NodeCall &call);
int Identity(NodeCall &call);
int MaskedFill(NodeCall &call);
int MatrixProduct(NodeCall &call);
int MoeGatingTopK(NodeCall &call);
int MoeGatingTopKSoftmaxV2(NodeCall &call);
int OnesLike(NodeCall &call);
int Pack(NodeCall &call);
int Reshape(NodeCall &call);
int ScatterElements(NodeCall &call);
int Select(NodeCall &call);
int Shape(NodeCall &call);
int SoftmaxV2(NodeCall &call);
int Sort(NodeCall &call);
int Squeeze(NodeCall &call);
int StridedSlice(NodeCall &call);
int TopKV2(NodeCall &call);
int Transpose(NodeCall &call);
int Unsqueeze(NodeCall &call);
int ZerosLike(NodeCall &call);

}  // namespace host_cann::nodes
