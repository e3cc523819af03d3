// torch_npu's way out when an aclnn symbol is missing: describe the operator in pieces, then aclopCompileAndExecute.
// The pieces are kept so that the execution can be refused by the operator's name.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "export.h"
#include "refuse.h"
#include "stream.h"

struct TensorDesc {
  int dtype, format;
  std::vector<int64_t> sizes;
};
struct DataBuffer {};
struct Attributes {};

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
EXPORT void aclSetTensorDescName(TensorDesc *, const char *) {}
EXPORT int aclSetTensorFormat(TensorDesc *, int) { return 0; }
EXPORT int aclSetTensorPlaceMent(TensorDesc *, int) { return 0; }
EXPORT int aclSetTensorShape(TensorDesc *, int, const int64_t *) { return 0; }

EXPORT DataBuffer *aclCreateDataBuffer(void *, size_t) { return new DataBuffer; }
EXPORT int aclDestroyDataBuffer(const DataBuffer *buffer) {
  delete buffer;
  return 0;
}

EXPORT Attributes *aclopCreateAttr() { return new Attributes; }
EXPORT void aclopDestroyAttr(const Attributes *attributes) { delete attributes; }
EXPORT int aclopSetAttrBool(Attributes *, const char *, uint8_t) { return 0; }
EXPORT int aclopSetAttrInt(Attributes *, const char *, int64_t) { return 0; }
EXPORT int aclopSetAttrFloat(Attributes *, const char *, float) { return 0; }
EXPORT int aclopSetAttrString(Attributes *, const char *, const char *) { return 0; }
EXPORT int aclopSetAttrDataType(Attributes *, const char *, int) { return 0; }
EXPORT int aclopSetAttrListBool(Attributes *, const char *, int, const uint8_t *) { return 0; }
EXPORT int aclopSetAttrListInt(Attributes *, const char *, int, const int64_t *) { return 0; }
EXPORT int aclopSetAttrListFloat(Attributes *, const char *, int, const float *) { return 0; }
EXPORT int aclopSetAttrListListInt(Attributes *, const char *, int, const int *, const int64_t *const *) { return 0; }

namespace {

using host_cann::FindStream;
using host_cann::Refuse;

// An error that torch_npu's launch thread meets ends that thread for good, and all later launches are dropped without
// a word. Where that thread is in use the refusal is therefore left on the stream, for the next synchronisation.
int RefuseOperator(const char *type, void *stream_handle) {
  const std::string what = std::string("the operator ") + type +
                           " (aclopCompileAndExecute); add its aclnn call to the table in simulator/aclnn.cpp";
  const char *queue = std::getenv("TASK_QUEUE_ENABLE");
  const bool asynchronous = queue == nullptr || std::strcmp(queue, "0") != 0;
  auto *stream = asynchronous ? FindStream(stream_handle) : nullptr;
  if (stream == nullptr) return Refuse(what.c_str());
  // Of 207000 torch_npu only warns when it synchronises.
  stream->Enqueue([what] { return Refuse(what.c_str()), host_cann::kInternal; });
  return 0;
}

using Descs = const TensorDesc *const *;
using Buffers = const DataBuffer *const *;

}  // namespace

EXPORT int aclopCompileAndExecute(const char *type, int, Descs, Buffers, int, Descs, Buffers, const Attributes *, int,
                                  int, const char *, void *stream) {
  return RefuseOperator(type, stream);
}
EXPORT int aclopCompileAndExecuteV2(const char *type, int, TensorDesc **, DataBuffer **, int, TensorDesc **,
                                    DataBuffer **, Attributes *, int, int, const char *, void *stream) {
  return RefuseOperator(type, stream);
}
