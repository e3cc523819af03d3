// Operations that arrange elements, and sizes.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

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

// Each of the inputs into the output of its place.
void CopyEach(Call &call) {
  if (call.inputs.size() != call.outputs.size()) Invalid("the lists have two lengths");
  for (size_t i = 0; i < call.inputs.size(); ++i) call.Out(call.In(i).dtype, call.In(i).sizes);
  call.work = [](const Views &in, Views &out) {
    for (size_t i = 0; i < in.size(); ++i) Copy(in[i], out[i]);
  };
}

void Identity(Call &call) { Resized(call, call.In(0).sizes); }

void Reshape(Call &call) {
  const auto &from = call.In(0).sizes;
  auto sizes = call.Integers("shape");
  int64_t rest = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0 && i < from.size()) sizes[i] = from[i];
    if (sizes[i] >= 0) rest = Mul::of(rest, sizes[i]);
  }
  for (auto &size : sizes) {
    if (size == -1) size = rest == 0 ? 0 : call.In(0).count() / rest;
  }
  DemandTensor({nullptr, call.In(0).dtype, sizes, {}});
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
  std::vector<int64_t> every(x.sizes.size());
  std::iota(every.begin(), every.end(), 0);
  if (sorted != every) Invalid("perm " + Sizes(order) + " does not name every dimension of " + Sizes(x.sizes));
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

// x again and again, as often as repeats says along each dimension.
void Repeat(Call &call) {
  auto repeats = call.Integers("repeats");
  if (repeats.empty()) repeats = call.Integers("multiples");
  const View &x = call.In(0);
  if (repeats.size() < x.sizes.size())
    Invalid("repeats " + Sizes(repeats) + " has less than one value for each dimension of " + Sizes(x.sizes));
  if (std::any_of(repeats.begin(), repeats.end(), [](int64_t count) { return count < 0; }))
    Invalid("repeats " + Sizes(repeats) + " is negative");
  auto once = x.sizes, sizes = repeats, split = repeats;  // split: [repeats, sizes] of each dimension
  once.insert(once.begin(), repeats.size() - once.size(), 1);
  for (size_t d = 0; d < once.size(); ++d) {
    if (once[d] != 0 && sizes[d] > std::numeric_limits<int64_t>::max() / once[d])
      Invalid("repeats " + Sizes(repeats) + " of " + Sizes(x.sizes) + " are too many");
    sizes[d] *= once[d];
    split.insert(split.begin() + static_cast<int64_t>(2 * d) + 1, once[d]);
  }
  call.Out(x.dtype, sizes);
  call.work = [once, split](const Views &in, Views &out) {
    View from{in[0].data, in[0].dtype, split, std::vector<int64_t>(split.size(), 0)};
    const size_t added = once.size() - in[0].sizes.size();
    for (size_t d = added; d < once.size(); ++d) from.strides[2 * d + 1] = in[0].strides[d - added];
    View to{out[0].data, out[0].dtype, split, {}};
    for (size_t d = 0; d < once.size(); ++d) {
      to.strides.push_back(out[0].strides[d] * once[d]);
      to.strides.push_back(out[0].strides[d]);
    }
    Copy(from, to);
  };
}

// x with the order of the elements along each axis turned round.
void Flip(Call &call) {
  const View &x = call.In(0);
  const auto axes = call.Integers("axis");
  auto turned = ReducedDimensions(x.sizes.size(), axes);
  if (axes.empty()) turned.assign(turned.size(), false);
  call.Out(x.dtype, x.sizes);
  call.work = [turned](const Views &in, Views &out) {
    if (out[0].count() == 0) return;
    View back = in[0];
    for (size_t d = 0; d < turned.size(); ++d) {
      if (!turned[d]) continue;
      back.data += (back.sizes[d] - 1) * back.strides[d] * ElementSize(back.dtype);
      back.strides[d] = -back.strides[d];
    }
    Copy(back, out[0]);
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
