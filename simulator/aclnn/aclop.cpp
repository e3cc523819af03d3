// torch_npu's way out when an aclnn symbol is missing: describe the operator in pieces, then aclopCompileAndExecute,
// which refuses it by its name.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "inert.h"
#include "stream.h"

struct TensorDesc {
  int dtype, format;
  std::vector<int64_t> sizes;
};

EXPORT TensorDesc *aclCreateTensorDesc(int dtype, int dimensions, const int64_t *sizes, int format) {
  return new TensorDesc{dtype, format, {sizes, sizes + dimensions}};
}
EXPORT void aclDestroyTensorDesc(const TensorDesc *desc) { delete desc; }
EXPORT int aclGetTensorDescType(const TensorDesc *desc) { return desc->dtype; }
EXPORT int aclGetTensorDescFormat(const TensorDesc *desc) { return desc->format; }
EXPORT size_t aclGetTensorDescNumDims(const TensorDesc *desc) { return desc->sizes.size(); }
EXPORT int aclGetTensorDescDimV2(const TensorDesc *desc, size_t dimension, int64_t *size) {
  *size = desc->sizes.at(dimension);
  return 0;
}

// No piece but the type, the format and the sizes is asked for before the execution is refused.
struct Pieces {};
EXPORT Pieces *aclCreateDataBuffer(void *, size_t) { return new Pieces; }
EXPORT Pieces *aclopCreateAttr() { return new Pieces; }
EXPORT int aclDestroyDataBuffer(const Pieces *buffer) {
  delete buffer;
  return 0;
}
EXPORT void aclopDestroyAttr(const Pieces *attributes) { delete attributes; }

ACCEPT(aclSetTensorDescName)
ACCEPT(aclSetTensorFormat)
ACCEPT(aclSetTensorPlaceMent)
ACCEPT(aclSetTensorShape)
ACCEPT(aclopSetAttrBool)
ACCEPT(aclopSetAttrDataType)
ACCEPT(aclopSetAttrFloat)
ACCEPT(aclopSetAttrInt)
ACCEPT(aclopSetAttrListBool)
ACCEPT(aclopSetAttrListFloat)
ACCEPT(aclopSetAttrListInt)
ACCEPT(aclopSetAttrListListInt)
ACCEPT(aclopSetAttrString)

EXPORT int aclopCompileAndExecute(const char *type, int, const TensorDesc *const *, const Pieces *const *, int,
                                  const TensorDesc *const *, const Pieces *const *, const Pieces *, int, int,
                                  const char *, void *stream) {
  return host_cann::LaunchPoint(__func__, stream, [&] {
    throw host_cann::NotImplemented(std::string("the operator ") + type +
                                    "; add its aclnn call to the table in simulator/aclnn/calls.cpp");
  });
}
EXPORT int aclopCompileAndExecuteV2(const char *type, int, TensorDesc **, Pieces **, int, TensorDesc **, Pieces **,
                                    Pieces *, int, int, const char *, void *stream) {
  return aclopCompileAndExecute(type, 0, nullptr, nullptr, 0, nullptr, nullptr, nullptr, 0, 0, nullptr, stream);
}
