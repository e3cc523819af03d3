// What the wheels set, log, dump and map, and have no need of here.
#include "inert.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

// Settings
ACCEPT(aclSetCompileopt)
ACCEPT(aclrtCtxSetSysParamOpt)
ACCEPT(aclrtDeviceEnablePeerAccess)
ACCEPT(aclrtSetDeviceSatMode)
ACCEPT(aclrtSetOpWaitTimeout)
ACCEPT(aclrtSetStreamAttribute)
ACCEPT(aclrtSetStreamFailureMode)
ACCEPT(aclrtSetStreamOverflowSwitch)
ACCEPT(aclrtSetSysParamOpt)
ACCEPT(HcclSetConfig)
// Nothing is compiled just in time: asked to, torch_npu before 2.7 would take the legacy path instead of aclnn calls.
static const char *CompileOption(int option) {
  constexpr int kJustInTime = 10;  // ACL_OP_JIT_COMPILE
  return option == kJustInTime ? "disable" : "";
}
EXPORT size_t aclGetCompileoptSize(int option) { return std::strlen(CompileOption(option)) + 1; }
EXPORT int aclGetCompileopt(int option, char *value, size_t length) {
  return host_cann::EntryPoint(__func__, [&] {
    if (value == nullptr || length < aclGetCompileoptSize(option))
      throw host_cann::Refusal{host_cann::kInvalidParam, "the value needs more room"};
    std::strcpy(value, CompileOption(option));
  });
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

// What runs where and when, for a profiler: nothing here tells it
REFUSE(msptiActivityDisable)
REFUSE(msptiActivityEnable)
REFUSE(msptiActivityFlushAll)
REFUSE(msptiActivityGetNextRecord)
REFUSE(msptiActivityIsEnabled)
REFUSE(msptiActivityPopExternalCorrelationId)
REFUSE(msptiActivityPushExternalCorrelationId)
REFUSE(msptiActivityRegisterCallbacks)
REFUSE(msptiSubscribe)
REFUSE(msptiUnsubscribe)

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

// Collectives
REFUSE(HcclAllGather)
REFUSE(HcclAllReduce)
REFUSE(HcclBroadcast)
REFUSE(HcclCommDestroy)
REFUSE(HcclCommInitAll)
REFUSE(HcclCommInitRootInfo)
REFUSE(HcclGetRootInfo)
REFUSE(HcclRecv)
REFUSE(HcclReduceScatter)
REFUSE(HcclSend)

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
