// The one way in which the stand-in says no: the text is kept for aclGetRecentErrMsg and GEGetErrorMsg, which
// torch_npu and torchair put into the exception that the user sees.
#pragma once

#include <string>

namespace host_cann {

constexpr int kInvalidParam = 100000;   // ACL_ERROR_INVALID_PARAM
constexpr int kInvalidDevice = 107001;  // ACL_ERROR_RT_INVALID_DEVICEID
constexpr int kNotSupported = 207000;   // ACL_ERROR_RT_FEATURE_NOT_SUPPORT
constexpr int kOutOfMemory = 207001;    // ACL_ERROR_RT_MEMORY_ALLOCATION
constexpr int kInternal = 507899;       // ACL_ERROR_RT_DRV_INTERNAL_ERROR
constexpr int kTimeout = 507046;        // ACL_ERROR_RT_STREAM_SYNC_TIMEOUT

int Fail(int code, const std::string &message);  // keeps the message and returns code
int Refuse(const char *entry_point);             // "the host stand-in for CANN does not implement <entry_point>"
std::string LastError();                         // the last message
std::string RecentError();                       // the same, and forgets it

}  // namespace host_cann
