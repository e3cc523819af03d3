#include "tensor.h"

#include <algorithm>
#include <cstring>

#include "../../kernels/half.h"
#include "elementwise.h"
#include "entry_point.h"
#include "reduce.h"

namespace host_cann {
namespace {

struct DTypeInfo {
  DType dtype;
  int64_t size;
  const char *name;
};

constexpr DTypeInfo kDTypes[] = {
    {DType::kFloat, 4, "float32"},  {DType::kHalf, 2, "float16"}, {DType::kInt8, 1, "int8"},
    {DType::kInt32, 4, "int32"},    {DType::kUInt8, 1, "uint8"},  {DType::kInt16, 2, "int16"},
    {DType::kUInt32, 4, "uint32"},  {DType::kInt64, 8, "int64"},  {DType::kUInt64, 8, "uint64"},
    {DType::kDouble, 8, "float64"}, {DType::kBool, 1, "bool"},    {DType::kBFloat16, 2, "bfloat16"},
};

const DTypeInfo *Find(DType dtype) {
  const auto *end = std::end(kDTypes);
  const auto *found = std::find_if(std::begin(kDTypes), end, [&](const DTypeInfo &i) { return i.dtype == dtype; });
  return found == end ? nullptr : found;
}

// How one element lies in memory (Storage) and what it counts as in arithmetic.
template <class T>
struct Plain {
  using Storage = T;
  static T load(T stored) { return stored; }
  static T store(T value) { return value; }
};
struct Bool {
  using Storage = uint8_t;
  static bool load(uint8_t stored) { return stored != 0; }
  static uint8_t store(bool value) { return value ? 1 : 0; }
};
using moe_gating::BFloat16;
using moe_gating::Float16;

// Calls use(Element{}) with the element type of a dtype.
template <class Use>
void WithElement(DType dtype, const Use &use) {
  switch (dtype) {
    case DType::kFloat: use(Plain<float>{}); return;
    case DType::kHalf: use(Float16{}); return;
    case DType::kBFloat16: use(BFloat16{}); return;
    case DType::kDouble: use(Plain<double>{}); return;
    case DType::kInt8: use(Plain<int8_t>{}); return;
    case DType::kUInt8: use(Plain<uint8_t>{}); return;
    case DType::kInt16: use(Plain<int16_t>{}); return;
    case DType::kInt32: use(Plain<int32_t>{}); return;
    case DType::kInt64: use(Plain<int64_t>{}); return;
    case DType::kUInt32: use(Plain<uint32_t>{}); return;
    case DType::kUInt64: use(Plain<uint64_t>{}); return;
    case DType::kBool: use(Bool{}); return;
    default: throw Refusal{kNotSupported, "the dtype " + std::to_string(static_cast<int>(dtype)) + " is unknown"};
  }
}

// `view` with the sizes of `shape`: missing and single dimensions are repeated by a stride of 0. Whatever the operations
// overlook, what does not fit ends here.
View Broadcast(const View &view, const std::vector<int64_t> &shape) {
  View wide{view.data, view.dtype, shape, std::vector<int64_t>(shape.size(), 0)};
  const size_t rank = view.sizes.size();
  for (size_t i = 1; i <= rank; ++i) {
    const int64_t size = view.sizes[rank - i];
    if (size == 1) continue;
    if (i > shape.size() || size != shape[shape.size() - i])
      throw Refusal{kBadParam, Sizes(view.sizes) + " does not broadcast to " + Sizes(shape)};
    wide.strides[shape.size() - i] = view.strides[rank - i];
  }
  return wide;
}

// Calls row(from, to) with the two element offsets of every innermost row.
template <class Row>
void ForEachRow(const View &from, const View &to, const Row &row) {
  const size_t outer = to.sizes.empty() ? 0 : to.sizes.size() - 1;
  std::vector<int64_t> index(outer, 0);
  if (to.count() == 0) return;
  while (true) {
    int64_t from_offset = 0, to_offset = 0;
    for (size_t i = 0; i < outer; ++i) {
      from_offset += index[i] * from.strides[i];
      to_offset += index[i] * to.strides[i];
    }
    row(from_offset, to_offset);
    size_t i = outer;
    while (i > 0 && ++index[i - 1] == to.sizes[i - 1]) index[--i] = 0;
    if (i == 0) return;
  }
}

template <class From, class To>
void CopyAs(const View &from, const View &to) {
  const auto *source = reinterpret_cast<const typename From::Storage *>(from.data);
  auto *target = reinterpret_cast<typename To::Storage *>(to.data);
  const int64_t length = to.sizes.empty() ? 1 : to.sizes.back();
  const int64_t from_step = to.sizes.empty() ? 0 : from.strides.back(),
                to_step = to.sizes.empty() ? 0 : to.strides.back();
  ForEachRow(from, to, [&](int64_t from_offset, int64_t to_offset) {
    for (int64_t i = 0; i < length; ++i) {
      const auto value = From::load(source[from_offset + i * from_step]);
      using Value = decltype(To::load(typename To::Storage{}));
      target[to_offset + i * to_step] = To::store(Converted<Value>(value));
    }
  });
}

}  // namespace

int64_t ElementSize(DType dtype) {
  const auto *info = Find(dtype);
  return info == nullptr ? 0 : info->size;
}

const char *DTypeName(DType dtype) {
  const auto *info = Find(dtype);
  return info == nullptr ? "unknown dtype" : info->name;
}

int64_t Count(const std::vector<int64_t> &sizes) {
  int64_t count = 1;
  for (auto size : sizes) count *= size;
  return count;
}

std::vector<int64_t> ContiguousStrides(const std::vector<int64_t> &sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  return strides;
}

std::string Sizes(const std::vector<int64_t> &sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + "]";
}

std::string Described(const View &view) { return DTypeName(view.dtype) + (" " + Sizes(view.sizes)); }

void Copy(const View &from, const View &to) {
  if (to.sizes.empty() && from.sizes.empty() && from.dtype == to.dtype) {  // one element, as an index chooses them
    std::memcpy(to.data, from.data, static_cast<size_t>(ElementSize(to.dtype)));
    return;
  }
  const View wide = Broadcast(from, to.sizes);
  WithElement(from.dtype, [&](auto source) {
    WithElement(to.dtype, [&](auto target) { CopyAs<decltype(source), decltype(target)>(wide, to); });
  });
}

std::vector<int64_t> BroadcastSizes(const std::vector<int64_t> &a, const std::vector<int64_t> &b) {
  auto sizes = a.size() >= b.size() ? a : b;
  const auto &shorter = a.size() >= b.size() ? b : a;
  for (size_t i = 1; i <= shorter.size(); ++i) {
    auto &size = sizes[sizes.size() - i];
    const int64_t other = shorter[shorter.size() - i];
    if (size == 1) size = other;
    if (other != 1 && other != size)
      throw Refusal{kBadParam, "the sizes " + Sizes(a) + " and " + Sizes(b) + " do not fit"};
  }
  return sizes;
}

Arithmetic ArithmeticOf(DType dtype) {
  if (dtype == DType::kDouble) return Arithmetic::kDouble;
  const bool real = dtype == DType::kFloat || dtype == DType::kHalf || dtype == DType::kBFloat16;
  return real ? Arithmetic::kFloat : Arithmetic::kInteger;
}

int64_t Dimension(int64_t dim, size_t rank) {
  const auto count = std::max<int64_t>(1, static_cast<int64_t>(rank));
  if (dim < -count || dim >= count)
    throw Refusal{kBadParam, std::to_string(dim) + " is not one of " + std::to_string(count) + " dimensions"};
  return dim < 0 ? dim + count : dim;
}

std::vector<bool> ReducedDimensions(size_t rank, const std::vector<int64_t> &axes) {
  std::vector<bool> reduced(rank, axes.empty());
  for (const auto axis : axes) {
    const auto at = static_cast<size_t>(Dimension(axis, rank));
    if (at < rank) reduced[at] = true;
  }
  return reduced;
}

std::vector<int64_t> ReducedSizes(const std::vector<int64_t> &sizes, const std::vector<bool> &reduced, bool keep) {
  std::vector<int64_t> left;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (!reduced[d]) left.push_back(sizes[d]);
    if (reduced[d] && keep) left.push_back(1);
  }
  return left;
}

}  // namespace host_cann
