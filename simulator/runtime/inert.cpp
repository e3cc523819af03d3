// What the wheels set, log, dump and map, and have no need of here.
#include "inert.h"

#include <cstddef>
#include <cstdint>

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
