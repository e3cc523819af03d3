// Nodes that arrange elements, and sizes.
#include <algorithm>
#include <cstring>

#include "indexing.h"
#include "nodes.h"
#include "ops.h"

namespace host_cann::nodes {

int Cast(NodeCall &call) {
  call.Out(static_cast<DType>(call.node.Integer("dst_type")), call.In(0).sizes);
  if (ElementSize(call.outputs[0].dtype) == 0) return call.Invalid("dst_type is not a dtype that the stand-in knows");
  call.run = [](const Views &in, const Views &out) { return Copy(*in[0], *out[0]), 0; };
  return 0;
}

static int Filled(NodeCall &call, DType dtype, const std::vector<int64_t> &sizes, int64_t value) {
  call.Out(dtype, sizes);
  call.sizes_suffice = true;
  call.run = [value](const Views &, const Views &out) { return FillWith(static_cast<double>(value), *out[0]), 0; };
  return 0;
}

int ZerosLike(NodeCall &call) { return Filled(call, call.In(0).dtype, call.In(0).sizes, 0); }

int OnesLike(NodeCall &call) { return Filled(call, call.In(0).dtype, call.In(0).sizes, 1); }

// The same elements in the same order under other sizes.
static int Resized(NodeCall &call, const std::vector<int64_t> &sizes) {
  if (Count(sizes) != call.In(0).count()) return call.Invalid("the sizes hold another number of elements");
  call.Out(call.In(0).dtype, sizes);
  call.run = [](const Views &in, const Views &out) {
    View source = *in[0];
    if (source.count() > 0)
      std::memcpy(out[0]->data, source.data, static_cast<size_t>(source.count() * ElementSize(source.dtype)));
    return 0;
  };
  return 0;
}

int Identity(NodeCall &call) { return Resized(call, call.In(0).sizes); }

int Reshape(NodeCall &call) {
  std::vector<int64_t> sizes;
  if (const int status = call.Integers(1, &sizes)) return status;
  int64_t rest = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0 && i < call.In(0).sizes.size()) sizes[i] = call.In(0).sizes[i];
    if (sizes[i] >= 0) rest *= sizes[i];
  }
  for (auto &size : sizes) {
    if (size == -1) size = rest == 0 ? 0 : call.In(0).count() / rest;
  }
  return Resized(call, sizes);
}

static int Unsqueezed(NodeCall &call, std::vector<int64_t> axes) {
  auto sizes = call.In(0).sizes;
  for (auto &axis : axes) axis = Dimension(axis, sizes.size() + axes.size());
  std::sort(axes.begin(), axes.end());
  for (const auto axis : axes) {
    if (axis < 0 || axis > static_cast<int64_t>(sizes.size()))
      return call.Invalid("an axis is not a dimension of the result");
    sizes.insert(sizes.begin() + axis, 1);
  }
  return Resized(call, sizes);
}

int Unsqueeze(NodeCall &call) { return Unsqueezed(call, call.node.Integers("axes")); }

int ExpandDims(NodeCall &call) {
  std::vector<int64_t> axis;
  if (const int status = call.Integers(1, &axis)) return status;
  return Unsqueezed(call, axis);
}

int Squeeze(NodeCall &call) {
  std::vector<bool> dropped;
  const auto &sizes = call.In(0).sizes;
  if (!ReducedDimensions(sizes.size(), call.node.Integers("axis"), &dropped))
    return call.Invalid("axis is not a dimension of x");
  for (size_t d = 0; d < sizes.size(); ++d) dropped[d] = dropped[d] && sizes[d] == 1;
  return Resized(call, ReducedSizes(sizes, dropped, false));
}

int Transpose(NodeCall &call) {
  std::vector<int64_t> order, sizes;
  if (const int status = call.Integers(1, &order)) return status;
  const auto rank = static_cast<int64_t>(call.In(0).sizes.size());
  if (static_cast<int64_t>(order.size()) != rank) return call.Invalid("perm does not have one entry per dimension");
  for (const auto axis : order) {
    if (axis < 0 || axis >= rank) return call.Invalid("perm names a dimension that x does not have");
    sizes.push_back(call.In(0).sizes[static_cast<size_t>(axis)]);
  }
  call.Out(call.In(0).dtype, sizes);
  call.run = [order](const Views &in, const Views &out) {
    View turned = *out[0];
    turned.strides.clear();
    for (const auto axis : order) turned.strides.push_back(in[0]->strides[static_cast<size_t>(axis)]);
    turned.data = in[0]->data;
    turned.dtype = in[0]->dtype;
    return Copy(turned, *out[0]), 0;
  };
  return 0;
}

int BroadcastTo(NodeCall &call) {
  std::vector<int64_t> sizes;
  if (const int status = call.Integers(1, &sizes)) return status;
  const auto &from = call.In(0).sizes;
  if (from.size() > sizes.size()) return call.Invalid("shape has fewer dimensions than x");
  for (size_t d = 0; d < from.size(); ++d) {
    auto &size = sizes[sizes.size() - from.size() + d];
    if (size == -1) size = from[d];
    if (from[d] != 1 && from[d] != size) return call.Invalid("x does not broadcast to shape");
  }
  call.Out(call.In(0).dtype, sizes);
  call.run = [](const Views &in, const Views &out) { return Copy(*in[0], *out[0]), 0; };
  return 0;
}

int Fill(NodeCall &call) {
  std::vector<int64_t> sizes;
  if (const int status = call.Integers(0, &sizes)) return status;
  call.Out(call.In(1).dtype, sizes);
  call.run = [](const Views &in, const Views &out) {
    const View value = Contiguous(in[1]->data, in[1]->dtype, {});
    return Copy(value, *out[0]), 0;
  };
  return 0;
}

// Tensors of one shape as the slices of one new dimension.
int Pack(NodeCall &call) {
  auto sizes = call.In(0).sizes;
  const auto rank = static_cast<int64_t>(sizes.size());
  const int64_t axis = call.node.Integer("axis") < 0 ? call.node.Integer("axis") + rank + 1 : call.node.Integer("axis");
  if (axis < 0 || axis > rank) return call.Invalid("axis is not a dimension of the result");
  for (const auto &input : call.inputs) {
    if (input->sizes != sizes || input->dtype != call.In(0).dtype)
      return call.Invalid("the inputs differ in shape or dtype");
  }
  sizes.insert(sizes.begin() + axis, static_cast<int64_t>(call.inputs.size()));
  call.Out(call.In(0).dtype, sizes);
  call.run = [axis](const Views &in, const Views &out) {
    View slice = *out[0];
    const int64_t step = slice.strides[static_cast<size_t>(axis)] * ElementSize(slice.dtype);
    slice.sizes.erase(slice.sizes.begin() + axis);
    slice.strides.erase(slice.strides.begin() + axis);
    for (const auto &input : in) {
      Copy(*input, slice);
      slice.data += step;
    }
    return 0;
  };
  return 0;
}

static int Concat(NodeCall &call, size_t parts, int64_t dim) {
  auto sizes = call.In(0).sizes;
  dim = Dimension(dim, sizes.size());
  if (dim < 0) return call.Invalid("concat_dim is not a dimension of x");
  for (size_t i = 1; i < parts; ++i) sizes[static_cast<size_t>(dim)] += call.In(i).sizes.at(static_cast<size_t>(dim));
  call.Out(call.In(0).dtype, sizes);
  call.run = [parts, dim](const Views &in, const Views &out) {
    std::vector<View> views;
    for (size_t i = 0; i < parts; ++i) views.push_back(*in[i]);
    return Concatenate(views, dim, *out[0]), 0;
  };
  return 0;
}

int ConcatD(NodeCall &call) { return Concat(call, call.inputs.size(), call.node.Integer("concat_dim")); }

int ConcatV2(NodeCall &call) {
  std::vector<int64_t> dim;
  if (const int status = call.Integers(call.inputs.size() - 1, &dim)) return status;
  return Concat(call, call.inputs.size() - 1, dim[0]);
}

// Begin, end and step of each leading dimension; bit d of a mask says that dimension d begins or ends where x does, or
// that one element of it is taken and the dimension goes.
int StridedSlice(NodeCall &call) {
  std::vector<int64_t> begin, end, step;
  if (const int status = call.Integers(1, &begin)) return status;
  if (const int status = call.Integers(2, &end)) return status;
  if (const int status = call.Integers(3, &step)) return status;
  if (call.node.Integer("ellipsis_mask") != 0 || call.node.Integer("new_axis_mask") != 0) {
    return call.Invalid("ellipsis_mask and new_axis_mask are not implemented");
  }
  const auto bit = [&call](const char *mask, size_t d) { return (call.node.Integer(mask) >> d & 1) != 0; };
  const View &x = call.In(0);
  std::vector<int64_t> sizes, first(x.sizes.size(), 0), steps(x.sizes.size(), 1);
  std::vector<bool> dropped(x.sizes.size(), false);
  for (size_t d = 0; d < x.sizes.size(); ++d) {
    const int64_t size = x.sizes[d];
    if (d >= begin.size()) {
      sizes.push_back(size);
      continue;
    }
    if (step[d] <= 0) return call.Invalid("only positive strides are implemented");
    const auto place = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
    first[d] = bit("begin_mask", d) ? 0 : place(begin[d]);
    const int64_t last = bit("end_mask", d) ? size : place(end[d]);
    steps[d] = step[d];
    dropped[d] = bit("shrink_axis_mask", d);
    if (!dropped[d]) sizes.push_back(std::max<int64_t>(0, (last - first[d] + step[d] - 1) / step[d]));
  }
  call.Out(x.dtype, sizes);
  call.run = [=](const Views &in, const Views &out) {
    View slice{in[0]->data, in[0]->dtype, out[0]->sizes, {}};
    for (size_t d = 0; d < first.size(); ++d) {
      slice.data += first[d] * in[0]->strides[d] * ElementSize(slice.dtype);
      if (!dropped[d]) slice.strides.push_back(in[0]->strides[d] * steps[d]);
    }
    return Copy(slice, *out[0]), 0;
  };
  return 0;
}

int Shape(NodeCall &call) {
  const auto sizes = call.In(0).sizes;
  call.Out(static_cast<DType>(call.node.Integer("dtype", static_cast<int64_t>(DType::kInt32))),
           {static_cast<int64_t>(sizes.size())});
  call.sizes_suffice = true;
  call.run = [sizes](const Views &, const Views &out) {
    return Copy(Contiguous(reinterpret_cast<uint8_t *>(const_cast<int64_t *>(sizes.data())), DType::kInt64,
                           out[0]->sizes),
                *out[0]),
           0;
  };
  return 0;
}

}  // namespace host_cann::nodes
