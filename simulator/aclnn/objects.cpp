// The small objects that aclnn calls take, and the companions that torch_npu looks up beside them.
#include <algorithm>

#include "call.h"
#include "elementwise.h"
#include "inert.h"

using namespace host_cann;  // NOLINT: CANN's own names are outside

namespace {

template <class Object>
int Destroy(const Object *object) {
  delete object;
  return 0;
}

DType Known(int dtype) {
  if (ElementSize(static_cast<DType>(dtype)) == 0) throw NotImplemented("the dtype " + std::to_string(dtype));
  return static_cast<DType>(dtype);
}

}  // namespace

EXPORT Tensor *aclCreateTensor(const int64_t *sizes, uint64_t dimensions, int dtype, const int64_t *strides,
                               int64_t offset, int format, const int64_t *, uint64_t, void *storage) {
  constexpr int kFractalNz = 29, kFractalZ = 4, kNc1hwc0 = 3;
  Tensor *tensor = nullptr;
  EntryPoint(__func__, [&] {
    if (format == kFractalNz || format == kFractalZ || format == kNc1hwc0)
      throw NotImplemented("tensors in the private format " + std::to_string(format));
    auto *first = static_cast<uint8_t *>(storage) + offset * ElementSize(Known(dtype));
    tensor = new Tensor{{first, Known(dtype), {sizes, sizes + dimensions}, {strides, strides + dimensions}}};
  });
  return tensor;
}
EXPORT int aclDestroyTensor(const Tensor *tensor) { return Destroy(tensor); }

EXPORT Scalar *aclCreateScalar(const void *value, int dtype) {
  Scalar *scalar = nullptr;
  EntryPoint(__func__, [&] {
    const View view = Contiguous(static_cast<uint8_t *>(const_cast<void *>(value)), Known(dtype), {});
    const bool integer = ArithmeticOf(view.dtype) == Arithmetic::kInteger;
    scalar = new Scalar{Values<double>(view)[0], integer ? Values<int64_t>(view)[0] : 0, view.dtype};
  });
  return scalar;
}
EXPORT int aclDestroyScalar(const Scalar *scalar) { return Destroy(scalar); }

EXPORT TensorList *aclCreateTensorList(const Tensor *const *tensors, uint64_t count) {
  return new TensorList{{tensors, tensors + count}};
}
EXPORT int aclDestroyTensorList(const TensorList *list) {  // its tensors go with it
  if (list != nullptr) std::for_each(list->tensors.begin(), list->tensors.end(), Destroy<Tensor>);
  return Destroy(list);
}

EXPORT IntArray *aclCreateIntArray(const int64_t *values, uint64_t count) {
  return new IntArray{{values, values + count}};
}
EXPORT int aclDestroyIntArray(const IntArray *array) { return Destroy(array); }

EXPORT int aclDestroyAclOpExecutor(Call *executor) { return Destroy(executor); }

// What a call whose result has as many elements as it finds has written into its output's description.
EXPORT int aclGetViewShape(const Tensor *tensor, int64_t **sizes, uint64_t *count) {
  *count = tensor->view.sizes.size();
  *sizes = new int64_t[*count];  // the caller deletes it
  std::copy(tensor->view.sizes.begin(), tensor->view.sizes.end(), *sizes);
  return 0;
}

// The cache between the phases of an aclnn call, which torch_npu brackets every call with
ACCEPT(InitHugeMemThreadLocal)
ACCEPT(UnInitHugeMemThreadLocal)
ACCEPT(ReleaseHugeMem)
