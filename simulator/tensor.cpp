#include "tensor.h"

#include <algorithm>

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

}  // namespace host_cann
