// Entry points with nothing behind them. What has no meaning on a host is accepted and changes nothing, because the
// stand-in always behaves as its strictest value. What would have a meaning and is not done fails and names itself.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "stream.h"

namespace {

template <class Result>
Result Refused(const char *name) {
  host_cann::EntryPoint(name, [name] { throw host_cann::NotImplemented(name); });
  return Result();
}
template <>
int Refused<int>(const char *name) {
  return host_cann::EntryPoint(name, [name] { throw host_cann::NotImplemented(name); });
}

}  // namespace

// By C's rules for calls it does not matter which parameters the caller passes.
#define ACCEPT(name) \
  EXPORT int name() { return 0; }
#define REFUSE(name) \
  EXPORT int name() { return Refused<int>(#name); }
#define REFUSE_POINTER(name) \
  EXPORT void *name() { return Refused<void *>(#name); }

// Settings
ACCEPT(aclSetCompileopt)
ACCEPT(aclrtCtxSetSysParamOpt)
ACCEPT(aclrtDeviceEnablePeerAccess)
ACCEPT(aclrtSetDeviceSatMode)
ACCEPT(aclrtSetOpWaitTimeout)
ACCEPT(aclrtSetStreamFailureMode)
ACCEPT(aclrtSetStreamOverflowSwitch)
ACCEPT(aclrtSetSysParamOpt)
ACCEPT(HcclSetConfig)
EXPORT size_t aclGetCompileoptSize(int) { return 1; }
EXPORT int aclGetCompileopt(int, char *value, size_t length) {
  if (length > 0) value[0] = '\0';
  return 0;
}
EXPORT int aclrtGetSysParamOpt(int, int64_t *value) {
  *value = 1;  // deterministic
  return 0;
}
EXPORT int aclrtSetOpExecuteTimeOutV2(uint64_t, uint64_t *actual) {
  if (actual != nullptr) *actual = 0;
  return 0;
}

// Logs and profiles, which have no reader
ACCEPT(aclAppLog)
ACCEPT(MsprofRegisterCallback)
ACCEPT(MsprofReportAdditionalInfo)
ACCEPT(MsprofReportApi)
ACCEPT(MsprofReportCompactInfo)
EXPORT uint64_t MsprofGetHashId(const char *, size_t) { return 0; }
EXPORT uint64_t MsprofSysCycleTime() { return 0; }

// The cache between the phases of an aclnn call, which torch_npu brackets every call with
ACCEPT(InitHugeMemThreadLocal)
ACCEPT(UnInitHugeMemThreadLocal)
ACCEPT(ReleaseHugeMem)

// Dumping
REFUSE(aclmdlFinalizeDump)
REFUSE(aclmdlInitDump)
REFUSE(aclmdlSetDump)
REFUSE(aclopStartDumpArgs)
REFUSE(aclopStopDumpArgs)

// Kernels brought by the caller
REFUSE(aclrtBinaryGetFunction)
REFUSE(aclrtBinaryLoadFromData)
REFUSE(aclrtGetFunctionAddr)
REFUSE(rtDevBinaryRegister)
REFUSE(rtFunctionRegister)
REFUSE(rtGetC2cCtrlAddr)
REFUSE(rtKernelLaunch)

// Virtual and shared memory
REFUSE(aclrtDeviceGetBareTgid)
REFUSE(aclrtFreePhysical)
REFUSE(aclrtMallocPhysical)
REFUSE(aclrtMapMem)
REFUSE(aclrtMemExportToShareableHandle)
REFUSE(aclrtMemImportFromShareableHandle)
REFUSE(aclrtMemSetPidToShareableHandle)
REFUSE(aclrtReleaseMemAddress)
REFUSE(aclrtReserveMemAddress)
REFUSE(aclrtUnmapMem)

// Channels from the device to the host (the Print operator)
REFUSE_POINTER(acltdtCreateChannelWithCapacity)
REFUSE_POINTER(acltdtCreateDataset)
REFUSE(acltdtDestroyChannel)
REFUSE(acltdtDestroyDataset)
REFUSE_POINTER(acltdtGetDataAddrFromItem)
REFUSE_POINTER(acltdtGetDataItem)
REFUSE(acltdtGetDataSizeFromItem)
REFUSE(acltdtGetDataTypeFromItem)
REFUSE(acltdtGetDatasetSize)
REFUSE(acltdtGetDimNumFromItem)
REFUSE(acltdtGetDimsFromItem)
REFUSE(acltdtReceiveTensor)

// torch_npu's way out when an aclnn symbol is missing: describe the operator in pieces, then aclopCompileAndExecute,
// which refuses it by its name.
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
                                    "; add its aclnn call to the table in simulator/aclnn.cpp");
  });
}
EXPORT int aclopCompileAndExecuteV2(const char *type, int, TensorDesc **, Pieces **, int, TensorDesc **, Pieces **,
                                    Pieces *, int, int, const char *, void *stream) {
  return aclopCompileAndExecute(type, 0, nullptr, nullptr, 0, nullptr, nullptr, nullptr, 0, 0, nullptr, stream);
}
