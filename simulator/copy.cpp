// Device and host memory, and the copies between them.
#include <cstdlib>
#include <cstring>
#include <string>

#include "capture.h"
#include "device.h"
#include "export.h"
#include "faults.h"
#include "log.h"
#include "memory.h"
#include "refuse.h"
#include "stream.h"

namespace host_cann {
namespace {

enum Kind { kHostToHost, kHostToDevice, kDeviceToHost, kDeviceToDevice, kDefault };

std::string Bytes(size_t bytes) { return std::to_string(bytes) + " bytes"; }

// The host's address of `bytes` bytes at `address`, which must be on the side that `device` says.
uint8_t *Side(const void *address, size_t bytes, bool device) {
  if (device) return Map(address, bytes);
  return IsDevice(address) ? nullptr : static_cast<uint8_t *>(const_cast<void *>(address));
}

int Move(const char *call, void *to, const void *from, size_t bytes, int kind) {
  if (bytes == 0) return 0;
  const bool from_device = kind == kDefault ? IsDevice(from) : kind == kDeviceToHost || kind == kDeviceToDevice;
  const bool to_device = kind == kDefault ? IsDevice(to) : kind == kHostToDevice || kind == kDeviceToDevice;
  const auto *source = Side(from, bytes, from_device);
  auto *target = Side(to, bytes, to_device);
  if (source == nullptr || target == nullptr) {
    const void *bad = source == nullptr ? from : to;
    const bool device_meant = source == nullptr ? from_device : to_device;
    return Fail(kInvalidParam, std::string(call) + ": the " + (source == nullptr ? "source" : "destination") + " is " +
                                   Explain(bad, bytes) + (device_meant ? "" : ", where host memory is meant"));
  }
  std::memmove(target, source, bytes);
  return 0;
}

int CheckCapacity(const char *call, size_t capacity, size_t bytes) {
  if (const int status = FaultyCall(call)) return status;
  if (bytes <= capacity) return 0;
  return Fail(kInvalidParam, std::string(call) + ": " + Bytes(bytes) + " do not fit into " + Bytes(capacity));
}

Launch CopyLaunch(size_t bytes, int kind, int device, uint64_t stream) {
  constexpr const char *kKinds[] = {"host to host", "host to device", "device to host", "device to device", "default"};
  const std::string direction = kind >= 0 && kind <= kDefault ? kKinds[kind] : "unknown";
  return {"copy",
          "aclrtMemcpyAsync",
          {},
          {},
          {{"bytes", Json(static_cast<int64_t>(bytes))}, {"direction", Json(direction)}},
          device,
          stream};
}

int Fill(void *address, int value, size_t bytes) {
  auto *target = IsDevice(address) ? Map(address, bytes) : static_cast<uint8_t *>(address);
  if (target == nullptr) return Fail(kInvalidParam, "aclrtMemset: the destination is " + Explain(address, bytes));
  std::memset(target, value, bytes);
  return 0;
}

}  // namespace
}  // namespace host_cann

using namespace host_cann;  // NOLINT: the entry points are this file's other half

EXPORT int aclrtMalloc(void **address, size_t bytes, int) {
  if (const int status = FaultyCall("aclrtMalloc")) return status;
  const int device = CurrentDevice();
  if (device < 0) return Fail(kInvalidDevice, "aclrtMalloc: no device is set");
  *address = DeviceMalloc(device, bytes);
  if (*address != nullptr) return 0;
  return Fail(kOutOfMemory, "aclrtMalloc: device " + std::to_string(device) + " has no " + Bytes(bytes) +
                                " in one piece; " + Bytes(DeviceFreeBytes(device)) + " of " +
                                Bytes(DeviceTotalBytes(device)) + " are free");
}

EXPORT int aclrtMallocAlign32(void **address, size_t bytes, int policy) { return aclrtMalloc(address, bytes, policy); }

EXPORT int aclrtFree(void *address) {
  return DeviceFree(address)
             ? 0
             : Fail(kInvalidParam, "aclrtFree: not an address that aclrtMalloc gave: " + Explain(address, 0));
}

EXPORT int aclrtMallocHost(void **address, size_t bytes) {
  if (const int status = FaultyCall("aclrtMallocHost")) return status;
  *address = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  return *address == nullptr ? Fail(kOutOfMemory, "aclrtMallocHost: no " + Bytes(bytes) + " of host memory") : 0;
}
EXPORT int aclrtFreeHost(void *address) {
  std::free(address);
  return 0;
}

EXPORT int aclrtGetMemInfo(int, size_t *free_bytes, size_t *total_bytes) {
  const int device = CurrentDevice();
  if (device < 0) return Fail(kInvalidDevice, "aclrtGetMemInfo: no device is set");
  *free_bytes = DeviceFreeBytes(device);
  *total_bytes = DeviceTotalBytes(device);
  return 0;
}

EXPORT int aclrtMemcpy(void *to, size_t capacity, const void *from, size_t bytes, int kind) {
  int status = CheckCapacity("aclrtMemcpy", capacity, bytes);
  if (status == 0) status = ForbiddenWhileCapturing("aclrtMemcpy");
  return status != 0 ? status : Move("aclrtMemcpy", to, from, bytes, kind);
}

EXPORT int aclrtMemcpyAsync(void *to, size_t capacity, const void *from, size_t bytes, int kind, void *stream_handle) {
  const int status = CheckCapacity("aclrtMemcpyAsync", capacity, bytes);
  if (status != 0) return status;
  auto *stream = FindStream(stream_handle);
  if (stream == nullptr) return Fail(kInvalidParam, "aclrtMemcpyAsync: not a live stream");
  stream->Enqueue([=, device = stream->device(), id = stream->id()] {
    if (const int status = FaultyRun("aclrtMemcpyAsync")) return status;
    const Timer timer;
    const int status = Move("aclrtMemcpyAsync", to, from, bytes, kind);
    if (status == 0 && Logging()) Log(CopyLaunch(bytes, kind, device, id), timer);
    return status;
  });
  return 0;
}

EXPORT int aclrtMemset(void *address, size_t capacity, int32_t value, size_t bytes) {
  const int status = CheckCapacity("aclrtMemset", capacity, bytes);
  return status != 0 ? status : Fill(address, value, bytes);
}

EXPORT int aclrtMemsetAsync(void *address, size_t capacity, int32_t value, size_t bytes, void *stream_handle) {
  const int status = CheckCapacity("aclrtMemsetAsync", capacity, bytes);
  if (status != 0) return status;
  auto *stream = FindStream(stream_handle);
  if (stream == nullptr) return Fail(kInvalidParam, "aclrtMemsetAsync: not a live stream");
  stream->Enqueue([=] { return Fill(address, value, bytes); });
  return 0;
}
