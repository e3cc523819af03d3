// torch_npu's way out when an aclnn symbol is missing: describe the operator in pieces, then aclopCompileAndExecute.
// The pieces are kept so that the execution can be refused by the operator's name.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "entry_point.h"
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

#define ACCEPT(name) \
  EXPORT int name() { return 0; }
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

// An error that torch_npu's launch thread meets ends that thread for good, and all later launches are dropped without
// a word. Where that thread is in use the refusal is therefore left on the stream, for the next synchronisation.
EXPORT int aclopCompileAndExecute(const char *type, int, const TensorDesc *const *, const Pieces *const *, int,
                                  const TensorDesc *const *, const Pieces *const *, const Pieces *, int, int,
                                  const char *, void *stream) {
  return host_cann::EntryPoint(__func__, [&] {
    const auto refusal = host_cann::NotImplemented(std::string("the operator ") + type +
                                                   "; add its aclnn call to the table in simulator/aclnn.cpp");
    const char *queue = std::getenv("TASK_QUEUE_ENABLE");
    if (queue != nullptr && std::strcmp(queue, "0") == 0) throw host_cann::Refusal(refusal);
    // Of 207000 torch_npu only warns when it synchronises.
    host_cann::Enqueue(stream,
                       [why = refusal.why](const auto &) { throw host_cann::Refusal{host_cann::kInternal, why}; });
  });
}
EXPORT int aclopCompileAndExecuteV2(const char *type, int, TensorDesc **, Pieces **, int, TensorDesc **, Pieces **,
                                    Pieces *, int, int, const char *, void *stream) {
  return aclopCompileAndExecute(type, 0, nullptr, nullptr, 0, nullptr, nullptr, nullptr, 0, 0, nullptr, stream);
}
