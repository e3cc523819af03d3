// The small objects that aclnn calls take, and the companions that torch_npu looks up beside them.
#include <algorithm>
#include <cstring>

#include "call.h"
#include "export.h"
#include "refuse.h"

using host_cann::DType;

EXPORT Tensor *aclCreateTensor(const int64_t *sizes, uint64_t dimensions, int dtype, const int64_t *strides,
                               int64_t offset, int format, const int64_t *, uint64_t, void *storage) {
  constexpr int kFractalNz = 29, kFractalZ = 4, kNc1hwc0 = 3;
  if (format == kFractalNz || format == kFractalZ || format == kNc1hwc0) {
    host_cann::Refuse(("tensors in the private format " + std::to_string(format)).c_str());
    return nullptr;
  }
  const auto kind = static_cast<DType>(dtype);
  auto *first = static_cast<uint8_t *>(storage) + offset * host_cann::ElementSize(kind);
  return new Tensor{{first, kind, {sizes, sizes + dimensions}, {strides, strides + dimensions}}};
}
EXPORT int aclDestroyTensor(const Tensor *tensor) {
  delete tensor;
  return 0;
}

EXPORT Scalar *aclCreateScalar(const void *value, int dtype) {
  const auto read = [value](auto number) {
    std::memcpy(&number, value, sizeof number);
    return Scalar{static_cast<double>(number), static_cast<int64_t>(number), DType::kDouble};
  };
  Scalar scalar{};
  switch (static_cast<DType>(dtype)) {
    case DType::kFloat: scalar = read(float{}); break;
    case DType::kDouble: scalar = read(double{}); break;
    case DType::kInt64: scalar = read(int64_t{}); break;
    case DType::kInt32: scalar = read(int32_t{}); break;
    case DType::kBool: scalar = read(bool{}); break;
    default:
      host_cann::Refuse(("scalars of " + std::string(host_cann::DTypeName(static_cast<DType>(dtype)))).c_str());
      return nullptr;
  }
  scalar.dtype = static_cast<DType>(dtype);
  return new Scalar(scalar);
}
EXPORT int aclDestroyScalar(const Scalar *scalar) {
  delete scalar;
  return 0;
}

EXPORT TensorList *aclCreateTensorList(const Tensor *const *tensors, uint64_t count) {
  return new TensorList{{tensors, tensors + count}};
}
EXPORT int aclDestroyTensorList(const TensorList *list) {  // its tensors go with it
  for (const auto *tensor : list->tensors) delete tensor;
  delete list;
  return 0;
}

// What a call whose result has as many elements as it finds has written into its output's description.
EXPORT int aclGetViewShape(const Tensor *tensor, int64_t **sizes, uint64_t *count) {
  *count = tensor->view.sizes.size();
  *sizes = new int64_t[*count];  // the caller deletes it
  std::copy(tensor->view.sizes.begin(), tensor->view.sizes.end(), *sizes);
  return 0;
}

EXPORT IntArray *aclCreateIntArray(const int64_t *values, uint64_t count) {
  return new IntArray{{values, values + count}};
}
EXPORT int aclDestroyIntArray(const IntArray *array) {
  delete array;
  return 0;
}

EXPORT int aclDestroyAclOpExecutor(host_cann::Call *executor) {
  delete executor;
  return 0;
}

// torch_npu brackets every call with these; the stand-in keeps no cache and no memory of its own between the phases.
EXPORT int InitHugeMemThreadLocal(void *, bool) { return 0; }
EXPORT void UnInitHugeMemThreadLocal(void *, bool) {}
EXPORT void ReleaseHugeMem(void *, bool) {}
