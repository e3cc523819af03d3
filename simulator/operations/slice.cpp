// Operations that cut a tensor into slices, and that put slices together.
#include <algorithm>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {
namespace {

// What is said of the dimensions that axes names as what is said of all: the others are taken whole.
void ByDimension(const std::vector<int64_t> &sizes, const std::vector<int64_t> &axes, std::vector<int64_t> &begin,
                 std::vector<int64_t> &end, std::vector<int64_t> &step) {
  if (axes.size() != begin.size()) Invalid("begin and axes " + Sizes(axes) + " differ in length");
  std::vector<int64_t> all_begin(sizes.size(), 0), all_end = sizes, all_step(sizes.size(), 1);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<size_t>(Dimension(axes[i], sizes.size()));
    if (d >= sizes.size()) Invalid("a number has no dimension to slice");
    all_begin[d] = begin[i], all_end[d] = end[i], all_step[d] = step[i];
  }
  begin = all_begin, end = all_end, step = all_step;
}

}  // namespace

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

// Parts of x along split_dim, of the sizes size_splits; -1 is what the others leave.
void Split(Call &call) {
  const View &x = call.In(0);
  auto parts = call.Integers("size_splits");
  const auto dim = static_cast<size_t>(Dimension(call.Integer("split_dim"), x.sizes.size()));
  if (x.sizes.empty()) Invalid("a number has no dimension to split");
  if (static_cast<int64_t>(parts.size()) != call.Integer("num_split"))
    Invalid("size_splits " + Sizes(parts) + " does not have num_split sizes");
  int64_t rest = x.sizes[dim];
  for (const auto part : parts) {  // once too small, it stays so
    if (part > 0) rest = part > rest ? -1 : rest - part;
  }
  if (const auto open = std::find(parts.begin(), parts.end(), -1); open != parts.end()) *open = std::exchange(rest, 0);
  if (rest != 0 || std::any_of(parts.begin(), parts.end(), [](int64_t part) { return part < 0; }))
    Invalid("size_splits " + Sizes(parts) + " does not make up dimension " + std::to_string(dim) + " of " +
            Sizes(x.sizes));
  for (const auto part : parts) {
    auto sizes = x.sizes;
    sizes[dim] = part;
    call.Out(x.dtype, sizes);
  }
  call.work = [dim](const Views &in, Views &out) {
    View slice = in[0];
    for (auto &part : out) {
      slice.sizes[dim] = part.sizes[dim];
      Copy(slice, part);
      slice.data += slice.sizes[dim] * slice.strides[dim] * ElementSize(slice.dtype);
    }
  };
}

// The slices of x along axis, without that dimension.
void Unpack(Call &call) {
  const View &x = call.In(0);
  const auto axis = static_cast<size_t>(Dimension(call.Integer("axis"), x.sizes.size()));
  const int64_t count = call.Integer("num");
  if (x.sizes.empty() || x.sizes[axis] != count)
    Invalid(Sizes(x.sizes) + " does not have " + std::to_string(count) + " slices");
  for (int64_t i = 0; i < count; ++i) call.Out(x.dtype, Without(x, axis, 1).sizes);
  call.work = [axis](const Views &in, Views &out) {
    View slice = Without(in[0], axis, 1);
    for (const auto &part : out) {
      Copy(slice, part);
      slice.data += in[0].strides[axis] * ElementSize(slice.dtype);
    }
  };
}

// Begin, end and step of the dimensions that axes names, or of the leading ones; bit d of a mask says that dimension d
// begins or ends where x does, or that one element of it is taken and the dimension goes.
void StridedSlice(Call &call) {
  auto begin = call.Integers("begin"), end = call.Integers("end"), step = call.Integers("strides");
  const auto bit = [&call](const char *mask, size_t d) { return (call.Integer(mask) >> d & 1) != 0; };
  const View &x = call.In(0);
  if (step.empty()) step.assign(begin.size(), 1);
  if (begin.size() > x.sizes.size() || end.size() != begin.size() || step.size() != begin.size())
    Invalid("begin, end and strides do not have one value for each of the leading dimensions of " + Sizes(x.sizes));
  if (const auto axes = call.Integers("axes"); !axes.empty()) ByDimension(x.sizes, axes, begin, end, step);
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
    steps[d] = std::min(step[d], std::max<int64_t>(size, 1));  // a longer one reaches no further
    dropped[d] = bit("shrink_axis_mask", d);
    if (dropped[d]) first[d] = Inside(begin[d], size);
    if (!dropped[d]) sizes.push_back(last > first[d] ? (last - first[d] - 1) / step[d] + 1 : 0);
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

}  // namespace host_cann::operations
