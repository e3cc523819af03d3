// Operations that arrange elements, and sizes.
#include <algorithm>
#include <cstring>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {
namespace {

void CopyFirst(const Views &in, Views &out) { Copy(in[0], out[0]); }

// The same elements in the same order under other sizes.
void Resized(Call &call, const std::vector<int64_t> &sizes) {
  const View &x = call.In(0);
  if (Count(sizes) != x.count()) Invalid(Sizes(sizes) + " holds another number of elements than " + Sizes(x.sizes));
  call.Out(x.dtype, sizes);
  call.work = [](const Views &in, Views &out) {
    if (in[0].count() > 0) std::memcpy(out[0].data, in[0].data, in[0].bytes());
  };
}

}  // namespace

void Cast(Call &call) {
  call.OutExactly(static_cast<DType>(call.Integer("dst_type")), call.In(0).sizes);
  if (ElementSize(call.results[0].dtype) == 0) Invalid("dst_type is not a dtype that the stand-in knows");
  call.work = CopyFirst;
}

void CopyInto(Call &call) {
  FilledLike<0>(call);
  if (BroadcastSizes(call.In(0).sizes, call.In(1).sizes) != call.In(0).sizes)
    Invalid(Sizes(call.In(1).sizes) + " does not broadcast to " + Sizes(call.In(0).sizes));
  call.work = [](const Views &in, Views &out) { Copy(in[1], out[0]); };
}

void Identity(Call &call) { Resized(call, call.In(0).sizes); }

void Reshape(Call &call) {
  const auto &from = call.In(0).sizes;
  auto sizes = call.Integers("shape");
  int64_t rest = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0 && i < from.size()) sizes[i] = from[i];
    if (sizes[i] >= 0) rest *= sizes[i];
  }
  for (auto &size : sizes) {
    if (size == -1) size = rest == 0 ? 0 : call.In(0).count() / rest;
  }
  Resized(call, sizes);
}

// New dimensions of one element.
void Expand(Call &call) {
  auto sizes = call.In(0).sizes;
  auto axes = call.Integers("axes");
  if (axes.empty()) axes = call.Integers("axis");
  for (auto &axis : axes) axis = Dimension(axis, call.In(0).sizes.size() + axes.size());
  std::sort(axes.begin(), axes.end());
  for (const auto axis : axes) {
    if (axis > static_cast<int64_t>(sizes.size())) Invalid("axes " + Sizes(axes) + " names a dimension twice");
    sizes.insert(sizes.begin() + axis, 1);
  }
  Resized(call, sizes);
}

void Squeeze(Call &call) {
  const auto &sizes = call.In(0).sizes;
  auto dropped = ReducedDimensions(sizes.size(), call.Integers("axis"));
  for (size_t d = 0; d < sizes.size(); ++d) dropped[d] = dropped[d] && sizes[d] == 1;
  Resized(call, ReducedSizes(sizes, dropped, false));
}

void Transpose(Call &call) {
  const auto order = call.Integers("perm");
  const View &x = call.In(0);
  std::vector<int64_t> sizes;
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (size_t d = 0; d < sorted.size(); ++d) {
    if (sorted.size() != x.sizes.size() || sorted[d] != static_cast<int64_t>(d))
      Invalid("perm " + Sizes(order) + " does not name every dimension of " + Sizes(x.sizes));
  }
  for (const auto axis : order) sizes.push_back(x.sizes[static_cast<size_t>(axis)]);
  call.Out(x.dtype, sizes);
  call.work = [order](const Views &in, Views &out) {
    View turned{in[0].data, in[0].dtype, out[0].sizes, {}};
    for (const auto axis : order) turned.strides.push_back(in[0].strides[static_cast<size_t>(axis)]);
    Copy(turned, out[0]);
  };
}

void BroadcastTo(Call &call) {
  const auto &from = call.In(0).sizes;
  auto sizes = call.Integers("shape");
  for (size_t i = 1; i <= std::min(from.size(), sizes.size()); ++i) {
    auto &size = sizes[sizes.size() - i];
    if (size == -1) size = from[from.size() - i];
  }
  if (BroadcastSizes(from, sizes) != sizes) Invalid(Sizes(from) + " does not broadcast to " + Sizes(sizes));
  call.Out(call.In(0).dtype, sizes);
  call.work = CopyFirst;
}

// The dimension is an attribute, or the input behind the parts. torch lets an empty tensor of one dimension pass.
void Concat(Call &call) {
  const bool last = call.inputs.back().name == "concat_dim";
  std::vector<size_t> parts;  // their places
  for (size_t i = 0; i + (last ? 1 : 0) < call.inputs.size(); ++i) {
    if (call.In(i).sizes != std::vector<int64_t>{0}) parts.push_back(i);
  }
  auto sizes = call.In(parts.empty() ? 0 : parts[0]).sizes;
  const auto dim = static_cast<size_t>(Dimension(call.Integer("concat_dim"), sizes.size()));
  int64_t length = 0;
  for (const auto i : parts) {
    auto other = call.In(i).sizes;
    if (other.size() != sizes.size() || other.empty()) Invalid("the inputs differ in their number of dimensions");
    length += std::exchange(other[dim], sizes[dim]);
    if (other != sizes) Invalid(Sizes(call.In(i).sizes) + " and " + Sizes(sizes) + " differ outside of concat_dim");
  }
  if (!parts.empty()) sizes[dim] = length;
  call.Out(call.In(0).dtype, sizes);
  call.work = [parts, dim](const Views &in, Views &out) {
    View slice = out[0];
    for (const auto i : parts) {
      slice.sizes[dim] = in[i].sizes[dim];
      Copy(in[i], slice);
      slice.data += slice.sizes[dim] * slice.strides[dim] * ElementSize(slice.dtype);
    }
  };
}

// Tensors of one shape as the slices of one new dimension.
void Pack(Call &call) {
  auto sizes = call.In(0).sizes;
  const auto axis = static_cast<size_t>(Dimension(call.Integer("axis"), sizes.size() + 1));
  for (const auto &input : call.inputs) {
    if (input.view.sizes != sizes || input.view.dtype != call.In(0).dtype)
      Invalid("the inputs differ in shape or dtype: " + Described(call.In(0)) + " and " + Described(input.view));
  }
  sizes.insert(sizes.begin() + static_cast<int64_t>(axis), static_cast<int64_t>(call.inputs.size()));
  call.Out(call.In(0).dtype, sizes);
  call.work = [axis](const Views &in, Views &out) {
    View slice = Without(out[0], axis, 1);
    for (const auto &part : in) {
      Copy(part, slice);
      slice.data += out[0].strides[axis] * ElementSize(slice.dtype);
    }
  };
}

// Begin, end and step of each leading dimension; bit d of a mask says that dimension d begins or ends where x does, or
// that one element of it is taken and the dimension goes.
void StridedSlice(Call &call) {
  const auto begin = call.Integers("begin"), end = call.Integers("end"), step = call.Integers("strides");
  const auto bit = [&call](const char *mask, size_t d) { return (call.Integer(mask) >> d & 1) != 0; };
  const View &x = call.In(0);
  if (begin.size() > x.sizes.size() || end.size() != begin.size() || step.size() != begin.size())
    Invalid("begin, end and strides do not have one value for each of the leading dimensions of " + Sizes(x.sizes));
  std::vector<int64_t> sizes, first(x.sizes.size(), 0), steps(x.sizes.size(), 1);
  std::vector<bool> dropped(x.sizes.size(), false);
  for (size_t d = 0; d < x.sizes.size(); ++d) {
    const int64_t size = x.sizes[d];
    if (d >= begin.size()) {
      sizes.push_back(size);
      continue;
    }
    if (step[d] <= 0) Invalid("only positive strides are implemented, not " + Sizes(step));
    const auto place = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
    first[d] = bit("begin_mask", d) ? 0 : place(begin[d]);
    const int64_t last = bit("end_mask", d) ? size : place(end[d]);
    steps[d] = step[d];
    dropped[d] = bit("shrink_axis_mask", d);
    if (dropped[d]) first[d] = Inside(begin[d], size);
    if (!dropped[d]) sizes.push_back(std::max<int64_t>(0, (last - first[d] + step[d] - 1) / step[d]));
  }
  call.Out(x.dtype, sizes);
  call.work = [=](const Views &in, Views &out) {
    View slice{in[0].data, in[0].dtype, out[0].sizes, {}};
    for (size_t d = 0; d < first.size(); ++d) {
      slice.data += first[d] * in[0].strides[d] * ElementSize(slice.dtype);
      if (!dropped[d]) slice.strides.push_back(in[0].strides[d] * steps[d]);
    }
    Copy(slice, out[0]);
  };
}

void Shape(Call &call) {
  const auto sizes = call.In(0).sizes;
  call.inputs[0].read = false;
  call.Out(static_cast<DType>(call.Integer("dtype", static_cast<int64_t>(DType::kInt32))),
           {static_cast<int64_t>(sizes.size())});
  call.work = [sizes](const Views &, Views &out) { Copy(Over(sizes, out[0].sizes), out[0]); };
}

}  // namespace host_cann::operations
