// What the wheels ask about the machine, and the settings that have no meaning on a host: those are accepted and
// change nothing, because the stand-in always behaves as their strictest value.
#include <cstdio>
#include <cstring>
#include <string>

#include "device.h"
#include "export.h"
#include "refuse.h"

EXPORT const char *aclrtGetSocName() { return "Ascend910B1"; }

// INF/NaN arithmetic and bfloat16 are there; just-in-time compilation is not.
EXPORT int aclGetCannAttribute(int attribute, int32_t *value) {
  *value = attribute == 0 || attribute == 1 ? 1 : 0;
  return 0;
}

EXPORT int aclGetDeviceCapability(uint32_t, int what, int64_t *value) {
  constexpr int64_t kCubeCores = 24, kVectorCores = 48, kL2Bytes = int64_t{192} << 20;
  const int64_t values[] = {kCubeCores, kVectorCores, kL2Bytes};
  if (what < 0 || what > 2)
    return host_cann::Fail(host_cann::kInvalidParam, "aclGetDeviceCapability: unknown capability");
  *value = values[what];
  return 0;
}

// Cube cores (0) and vector cores (1) that a stream or a device may use; a limit changes nothing here.
EXPORT int aclrtGetDeviceResLimit(int32_t, int what, uint32_t *value) {
  if (what != 0 && what != 1)
    return host_cann::Fail(host_cann::kInvalidParam, "aclrtGetDeviceResLimit: unknown resource");
  *value = what == 0 ? 24 : 48;
  return 0;
}
EXPORT int aclrtGetStreamResLimit(void *, int what, uint32_t *value) { return aclrtGetDeviceResLimit(0, what, value); }

EXPORT int aclrtDeviceCanAccessPeer(int32_t *can, int32_t device, int32_t peer) {
  *can = device != peer ? 1 : 0;
  return 0;
}
EXPORT int aclrtDeviceEnablePeerAccess(int32_t, uint32_t) { return 0; }

// "The host stand-in" has no CANN version of its own; it follows the interface of 8.2.
EXPORT int aclsysGetVersionStr(char *, char *version) {
  std::strcpy(version, "8.2.0");
  return 0;
}

EXPORT int aclGetCompileopt(int, char *value, size_t length) {
  if (length > 0) value[0] = '\0';
  return 0;
}
EXPORT size_t aclGetCompileoptSize(int) { return 1; }
EXPORT int aclSetCompileopt(int, const char *) { return 0; }
EXPORT int aclrtCtxSetSysParamOpt(int, int64_t) { return 0; }
EXPORT int aclrtSetSysParamOpt(int, int64_t) { return 0; }
EXPORT int aclrtGetSysParamOpt(int, int64_t *value) {
  *value = 1;  // deterministic
  return 0;
}
EXPORT int aclrtSetDeviceSatMode(int) { return 0; }
EXPORT int aclrtSetOpExecuteTimeOutV2(uint64_t, uint64_t *actual) {
  if (actual != nullptr) *actual = 0;
  return 0;
}
EXPORT int aclrtSetOpWaitTimeout(uint32_t) { return 0; }
EXPORT int aclrtSetStreamFailureMode(void *, uint64_t) { return 0; }
EXPORT int aclrtSetStreamOverflowSwitch(void *, uint32_t) { return 0; }
EXPORT int HcclSetConfig(int, uint64_t) { return 0; }

// Profiling data and log lines have no reader here.
EXPORT void aclAppLog(int, const char *, const char *, uint32_t, const char *, ...) {}
EXPORT uint64_t MsprofGetHashId(const char *, size_t) { return 0; }
EXPORT int32_t MsprofRegisterCallback(uint32_t, void *) { return 0; }
EXPORT int32_t MsprofReportAdditionalInfo(uint32_t, const void *, uint32_t) { return 0; }
EXPORT int32_t MsprofReportApi(uint32_t, const void *) { return 0; }
EXPORT int32_t MsprofReportCompactInfo(uint32_t, const void *, uint32_t) { return 0; }
EXPORT uint64_t MsprofSysCycleTime() { return 0; }
