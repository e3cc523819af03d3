// A strided tensor on the host: what every operation of the stand-in reads and writes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace host_cann {

// CANN's own codes: aclDataType and ge::DataType agree on them.
enum class DType : int32_t {
  kUndefined = -1,
  kFloat = 0,
  kHalf = 1,
  kInt8 = 2,
  kInt32 = 3,
  kUInt8 = 4,
  kInt16 = 6,
  kUInt32 = 8,
  kInt64 = 9,
  kUInt64 = 10,
  kDouble = 11,
  kBool = 12,
  kBFloat16 = 27,
};

int64_t ElementSize(DType dtype);    // bytes; 0 for a dtype that the stand-in does not know
const char *DTypeName(DType dtype);  // "float32", "int64", ...: torch's names
int64_t Count(const std::vector<int64_t> &sizes);
std::vector<int64_t> ContiguousStrides(const std::vector<int64_t> &sizes);

struct View {
  uint8_t *data = nullptr;              // the first element, readable by the host
  DType dtype = DType::kUndefined;      // of an optional tensor that was not given
  std::vector<int64_t> sizes, strides;  // in elements

  bool given() const { return dtype != DType::kUndefined; }
  int64_t count() const { return Count(sizes); }
  size_t bytes() const { return static_cast<size_t>(count() * ElementSize(dtype)); }
};

std::string Sizes(const std::vector<int64_t> &sizes);  // [3, 4]
std::string Described(const View &view);               // float32 [3, 4]

inline View Contiguous(uint8_t *data, DType dtype, std::vector<int64_t> sizes) {
  auto strides = ContiguousStrides(sizes);
  return View{data, dtype, std::move(sizes), std::move(strides)};
}

}  // namespace host_cann
