// runtime/ is what a device is: memory, streams, events, captures, and what is asked of it by name. It knows nothing of
// what is computed, nor of who asks.
//
// Here: how every entry point of the stand-in is made, and the one way in which it says no.
#pragma once

#include <string>

// The library hides everything but CANN's names and the few of its own control.
#define EXPORT extern "C" __attribute__((visibility("default")))

namespace host_cann {

constexpr int kInvalidParam = 100000;   // ACL_ERROR_INVALID_PARAM
constexpr int kInvalidDevice = 107001;  // ACL_ERROR_RT_INVALID_DEVICEID
constexpr int kNoContext = 107002;      // ACL_ERROR_RT_CONTEXT_NULL
constexpr int kNullPointer = 161001;    // ACLNN_ERR_PARAM_NULLPTR
constexpr int kBadParam = 161002;       // ACLNN_ERR_PARAM_INVALID: a dtype or a shape
constexpr int kNotSupported = 207000;   // ACL_ERROR_RT_FEATURE_NOT_SUPPORT
constexpr int kOutOfMemory = 207001;    // ACL_ERROR_RT_MEMORY_ALLOCATION
constexpr int kIndexOutside = 507015;   // ACL_ERROR_RT_AICORE_EXCEPTION: what a device says of it
constexpr int kTimeout = 507046;        // ACL_ERROR_RT_STREAM_SYNC_TIMEOUT
constexpr int kInternal = 507899;       // ACL_ERROR_RT_DRV_INTERNAL_ERROR
constexpr int kBadTiling = 561002;      // ACLNN_ERR_INNER_TILING_ERROR

// Thrown where something is refused; an entry point returns the code and keeps the text, with its own name before it.
struct Refusal {
  int code;
  std::string why;
};

Refusal NotImplemented(const std::string &what);
Refusal Caught();  // what the exception that is being handled refuses

// Where a caller wants a result.
template <class Value>
Value &Place(Value *result) {
  if (result == nullptr) throw Refusal{kInvalidParam, "the place for a result is a null pointer"};
  return *result;
}

// For aclGetRecentErrMsg and GEGetErrorMsg, whose text torch_npu and torchair put into the exception that the user
// sees.
int KeepError(int code, const std::string &text);
std::string RecentError();  // the last text, which then is forgotten

// A fork takes none of the device's threads along: from the first use of a device on, what a child asks for is refused.
void UseDevice();
int RefusedAfterFork(const char *entry_point);  // the status, or 0

// Faults on demand. The status that this occurrence of a call returns instead of doing its work, or 0; and the Refusal
// of what a call has launched, on the stream's worker, or a hang until the faults are lifted. Each costs one relaxed
// load while no fault is asked for.
int InjectedStatus(const char *entry_point);
void RunInjectedFault(const std::string &entry_point);
int AddFault(const std::string &entry_point, int occurrence, int status, const std::string &when);  // its number

// A door says, before the library is used, which names beside the runtime's own ask for faults.
using AsksForFaults = bool (*)(const std::string &name);
bool AlsoAsks(AsksForFaults asks);

template <class Body>
int EntryPointWithoutDevice(const char *name, const Body &body) {
  if (const int status = InjectedStatus(name)) return status;
  try {
    body();
    return 0;
  } catch (...) {
    const Refusal refusal = Caught();
    return KeepError(refusal.code, std::string(name) + ": " + refusal.why);
  }
}

template <class Body>
int EntryPoint(const char *name, const Body &body) {
  const int status = RefusedAfterFork(name);
  return status != 0 ? status : EntryPointWithoutDevice(name, body);
}

}  // namespace host_cann

// An entry point of few statements.
#define ENTRY_POINT(name, parameters, ...)                     \
  EXPORT int name parameters {                                 \
    return host_cann::EntryPoint(#name, [&] { __VA_ARGS__; }); \
  }
