// Nodes that compute, choose and order.
#include <algorithm>

#include "indexing.h"
#include "nodes.h"
#include "ops.h"

namespace host_cann::nodes {

constexpr int kIndexOutside = 507015;  // ACL_ERROR_RT_AICORE_EXCEPTION: what a device says of it

static View Transposed(View matrix, bool transpose) {
  const size_t rank = matrix.sizes.size();
  if (transpose) {
    std::swap(matrix.sizes[rank - 2], matrix.sizes[rank - 1]);
    std::swap(matrix.strides[rank - 2], matrix.strides[rank - 1]);
  }
  return matrix;
}

static View Batches(View matrices) {
  matrices.sizes.resize(matrices.sizes.size() - 2);
  return matrices;
}

int MatrixProduct(NodeCall &call) {
  if (call.In(0).sizes.size() < 2 || call.In(1).sizes.size() < 2) return call.Invalid("an input is not a matrix");
  if (call.Has(3)) return call.Invalid("offset_w is not implemented");
  const bool first = call.node.Integer("transpose_x1") + call.node.Integer("adj_x1") != 0;
  const bool second = call.node.Integer("transpose_x2") + call.node.Integer("adj_x2") != 0;
  const View a = Transposed(call.In(0), first), b = Transposed(call.In(1), second);
  const int64_t rows = a.sizes[a.sizes.size() - 2], columns = b.sizes.back();
  std::vector<int64_t> sizes;
  if (a.sizes.back() != b.sizes[b.sizes.size() - 2]) return call.Invalid("the inner sizes differ");
  if (!BroadcastSizes(Batches(a), Batches(b), &sizes)) return call.Invalid("the batches do not fit");
  if (call.Has(2) && call.In(2).sizes != std::vector<int64_t>{columns})
    return call.Invalid("the bias does not have one value per column");
  sizes.insert(sizes.end(), {rows, columns});
  call.Out(a.dtype, sizes);
  call.run = [first, second](const Views &in, const Views &out) {
    const View *bias = in.size() > 2 && in[2] ? &*in[2] : nullptr;
    return MatMul(Transposed(*in[0], first), Transposed(*in[1], second), bias, *out[0]), 0;
  };
  return 0;
}

int MoeGatingTopK(NodeCall &call) {
  const auto &node = call.node;
  const auto dtype = call.In(0).dtype;
  const auto input = [&call](size_t i) { return call.Has(i) ? &call.In(i) : nullptr; };
  const View *bias = input(1);
  const Routing routing{input(2), input(3)};
  if (dtype != DType::kFloat && dtype != DType::kHalf && dtype != DType::kBFloat16) {
    return call.Invalid(std::string("x is ") + DTypeName(dtype));
  }
  if (bias != nullptr && bias->dtype != dtype) return call.Invalid("bias does not have the dtype of x");
  for (const View *integers : {routing.input_ids, routing.tid2eid}) {
    if (integers != nullptr && integers->dtype != DType::kInt32 && integers->dtype != DType::kInt64)
      return call.Invalid("input_ids and tid2eid are not int32 or int64");
  }
  const Gating gating{node.Integer("k"),
                      node.Integer("k_group", 1),
                      node.Integer("group_count", 1),
                      node.Integer("group_select_mode"),
                      node.Integer("renorm"),
                      node.Integer("norm_type"),
                      node.Integer("out_flag") != 0,
                      node.Real("routed_scaling_factor", 1.0F),
                      node.Real("eps", 1e-20F)};
  const auto refusal = GatingRefusal(gating, call.In(0), bias, routing);
  if (!refusal.empty()) return call.Invalid(refusal);
  const int64_t tokens = call.In(0).sizes[0];
  call.Out(dtype, {tokens, gating.k});
  call.Out(DType::kInt32, {tokens, gating.k});
  call.Out(DType::kFloat, call.In(0).sizes);
  call.run = [gating](const Views &in, const Views &out) {
    const auto given = [&in](size_t i) { return in.size() > i && in[i] ? &*in[i] : nullptr; };
    return GatingTopK(gating, *in[0], given(1), *out[0], *out[1], *out[2], {given(2), given(3)});
  };
  return 0;
}

static int TakeAlong(NodeCall &call, int64_t axis) {
  auto sizes = call.In(0).sizes;
  const auto &indices = call.In(1).sizes;
  axis = Dimension(axis, sizes.size());
  if (axis < 0) return call.Invalid("axis is not a dimension of x");
  if (call.node.Integer("batch_dims") != 0) return call.Invalid("batch_dims is not implemented");
  sizes.erase(sizes.begin() + axis);
  sizes.insert(sizes.begin() + axis, indices.begin(), indices.end());
  call.Out(call.In(0).dtype, sizes);
  call.run = [axis](const Views &in, const Views &out) {
    return Take(*in[0], axis, *in[1], *out[0]) ? 0 : kIndexOutside;
  };
  return 0;
}

int Gather(NodeCall &call) { return TakeAlong(call, 0); }

int GatherV2(NodeCall &call) {
  std::vector<int64_t> axis;
  if (const int status = call.Integers(2, &axis)) return status;
  return TakeAlong(call, axis[0]);
}

int GatherElements(NodeCall &call) {
  const int64_t dim = call.node.Integer("dim");
  if (call.In(0).sizes.size() != call.In(1).sizes.size())
    return call.Invalid("index does not have the dimensions of x");
  if (Dimension(dim, std::max<size_t>(1, call.In(0).sizes.size())) < 0)
    return call.Invalid("dim is not a dimension of x");
  call.Out(call.In(0).dtype, call.In(1).sizes);
  call.run = [dim](const Views &in, const Views &out) {
    return host_cann::Gather(*in[0], dim, *in[1], *out[0]) ? 0 : kIndexOutside;
  };
  return 0;
}

int ScatterElements(NodeCall &call) {
  const int64_t axis = call.node.Integer("axis");
  const auto found = call.node.attributes.find("reduction");
  const std::string reduction = found == call.node.attributes.end() ? "none" : found->second.text;
  if (reduction != "none" && reduction != "add") return call.Invalid("reduction " + reduction + " is not implemented");
  if (Dimension(axis, std::max<size_t>(1, call.In(0).sizes.size())) < 0)
    return call.Invalid("axis is not a dimension of data");
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.run = [axis, add = reduction == "add"](const Views &in, const Views &out) {
    Copy(*in[0], *out[0]);
    return Scatter(*out[0], axis, *in[1], *in[2], add) ? 0 : kIndexOutside;
  };
  return 0;
}

int Select(NodeCall &call) {
  std::vector<int64_t> sizes;
  if (!BroadcastSizes(call.In(1), call.In(2), &sizes)) return call.Invalid("the sizes of the inputs do not fit");
  const View both = Contiguous(nullptr, call.In(1).dtype, sizes);
  if (!BroadcastSizes(call.In(0), both, &sizes)) return call.Invalid("the condition does not fit the others");
  call.Out(call.In(1).dtype, sizes);
  call.run = [](const Views &in, const Views &out) { return host_cann::Select(*in[0], *in[1], *in[2], *out[0]), 0; };
  return 0;
}

int MaskedFill(NodeCall &call) {
  std::vector<int64_t> sizes;
  if (!BroadcastSizes(call.In(0), call.In(1), &sizes)) return call.Invalid("the mask does not fit x");
  call.Out(call.In(0).dtype, sizes);
  call.run = [](const Views &in, const Views &out) {
    const View value = Contiguous(in[2]->data, in[2]->dtype, {});
    return host_cann::Select(*in[1], value, *in[0], *out[0]), 0;
  };
  return 0;
}

int SoftmaxV2(NodeCall &call) {
  const auto axes = call.node.Integers("axes");
  const bool widen = call.node.Integer("half_to_float") != 0;
  const int64_t dim = Dimension(axes.empty() ? -1 : axes[0], call.In(0).sizes.size());
  if (axes.size() > 1 || dim < 0) return call.Invalid("axes is not one dimension of x");
  call.Out(widen ? DType::kFloat : call.In(0).dtype, call.In(0).sizes);
  call.run = [dim](const Views &in, const Views &out) { return Softmax(*in[0], dim, *out[0]), 0; };
  return 0;
}

static int Ordered(NodeCall &call, int64_t dim, int64_t k, bool largest) {
  auto sizes = call.In(0).sizes;
  dim = Dimension(dim, sizes.size());
  if (dim < 0) return call.Invalid("there is no dimension to sort along");
  auto &size = sizes[static_cast<size_t>(dim)];
  if (k < 0) k = size;
  if (k > size)
    return call.Invalid("k " + std::to_string(k) + " is more than the " + std::to_string(size) + " elements");
  size = k;
  call.Out(call.In(0).dtype, sizes);
  call.Out(static_cast<DType>(call.node.Integer("indices_dtype", static_cast<int64_t>(DType::kInt32))), sizes);
  call.run = [dim, largest](const Views &in, const Views &out) {
    return TopK(*in[0], dim, largest, *out[0], *out[1]), 0;
  };
  return 0;
}

int TopKV2(NodeCall &call) {
  std::vector<int64_t> k;
  if (const int status = call.Integers(1, &k)) return status;
  return Ordered(call, call.node.Integer("dim", -1), k[0], call.node.Integer("largest", 1) != 0);
}

int ArgMaxWithValue(NodeCall &call) {
  std::vector<bool> reduced;
  const auto &sizes = call.In(0).sizes;
  const int64_t dim = Dimension(call.node.Integer("dimension"), sizes.size());
  if (dim < 0 || !ReducedDimensions(sizes.size(), {dim}, &reduced)) return call.Invalid("dimension is not one of x");
  if (sizes[static_cast<size_t>(dim)] == 0) return call.Invalid("there is no largest of no elements");
  const auto left = ReducedSizes(sizes, reduced, call.node.Integer("keep_dims") != 0);
  call.Out(DType::kInt32, left);
  call.Out(call.In(0).dtype, left);
  call.run = [dim, kept = ReducedSizes(sizes, reduced, true)](const Views &in, const Views &out) {
    TopK(*in[0], dim, true, Contiguous(out[1]->data, out[1]->dtype, kept),
         Contiguous(out[0]->data, out[0]->dtype, kept));
    return 0;
  };
  return 0;
}

int Sort(NodeCall &call) {
  return Ordered(call, call.node.Integer("axis", -1), -1, call.node.Integer("descending") != 0);
}

}  // namespace host_cann::nodes
