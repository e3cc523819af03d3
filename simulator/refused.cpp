// Symbols that the wheels need at load time and that the stand-in does not do: each fails and names itself.
#include "export.h"
#include "refuse.h"

#define REFUSE(name) \
  EXPORT int name() { return host_cann::Refuse(#name); }
#define REFUSE_POINTER(name)  \
  EXPORT void *name() {       \
    host_cann::Refuse(#name); \
    return nullptr;           \
  }

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
