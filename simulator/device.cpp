// Devices, contexts and streams: aclrtSetDevice, aclrtCreateStream and their kind.
#include "device.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "capture.h"
#include "export.h"
#include "faults.h"
#include "memory.h"
#include "refuse.h"
#include "stream.h"

namespace host_cann {
namespace {

constexpr int kNoContext = 107002;  // ACL_ERROR_RT_CONTEXT_NULL
constexpr int kBadStream = 107003;  // ACL_ERROR_RT_STREAM_CONTEXT

thread_local int current_device = -1;

// Never destroyed: torch_npu still talks to the runtime from destructors of its own.
struct Registry {
  std::mutex mutex;
  std::map<void *, std::shared_ptr<Stream>> streams;
  std::shared_ptr<Stream> default_streams[kMaxDevices];
  char contexts[kMaxDevices];  // a context is the address of its device's byte
};

Registry &All() {
  static auto &registry = *new Registry;
  return registry;
}

std::shared_ptr<Stream> Lookup(void *handle) {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (handle == nullptr) {
    if (current_device < 0) return nullptr;
    auto &stream = all.default_streams[current_device];
    if (stream == nullptr) stream = std::make_shared<Stream>(current_device);
    return stream;
  }
  const auto found = all.streams.find(handle);
  return found == all.streams.end() ? nullptr : found->second;
}

int BadStream(const char *call) {
  return Fail(kBadStream, std::string(call) + ": the stream was never created, is destroyed, or no device is set");
}

std::vector<std::shared_ptr<Stream>> StreamsOf(int device) {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  std::vector<std::shared_ptr<Stream>> streams;
  if (all.default_streams[device] != nullptr) streams.push_back(all.default_streams[device]);
  for (const auto &entry : all.streams) {
    if (entry.second->device() == device) streams.push_back(entry.second);
  }
  return streams;
}

int SynchronizeAll(const char *call, int64_t timeout_ms) {
  if (current_device < 0) return Fail(kNoContext, std::string(call) + ": no device is set");
  if (const int status = FaultyCall(call)) return status;
  if (const int status = ForbiddenWhileCapturing(call)) return status;
  int first = 0;
  for (const auto &stream : StreamsOf(current_device)) {
    const int status = stream->Synchronize(timeout_ms);
    if (first == 0) first = status;
  }
  return first;
}

int CapturedStream(const char *call, const std::shared_ptr<Stream> &stream) {
  const auto capture = stream == nullptr ? nullptr : stream->capture();
  return capture == nullptr
             ? 0
             : capture->Invalidate(kStreamCaptured, std::string(call) + ": the stream is being captured");
}

int CreateStream(void **handle) {
  if (const int status = FaultyCall("aclrtCreateStream")) return status;
  if (current_device < 0) return Fail(kNoContext, "aclrtCreateStream: no device is set");
  auto stream = std::make_shared<Stream>(current_device);
  *handle = stream.get();
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.streams.emplace(*handle, std::move(stream));
  return 0;
}

int DestroyStream(const char *call, void *handle) {
  std::shared_ptr<Stream> last;  // its queue runs dry outside the lock
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.streams.find(handle);
  if (found == all.streams.end()) return BadStream(call);
  last = std::move(found->second);
  all.streams.erase(found);
  return 0;
}

}  // namespace

int DeviceCount() {
  static const int count = [] {
    const char *setting = std::getenv("ASCEND_MOE_GATING_SIMULATOR_DEVICES");
    return setting == nullptr ? 2 : std::clamp(std::atoi(setting), 1, kMaxDevices);
  }();
  return count;
}

size_t DeviceMemory() {
  const char *setting = std::getenv("ASCEND_MOE_GATING_SIMULATOR_MEMORY");
  return setting == nullptr ? size_t{16} << 30 : std::strtoull(setting, nullptr, 10);
}

int CurrentDevice() { return current_device; }

bool SetCurrentDevice(int device) {
  if (device < 0 || device >= DeviceCount()) return false;
  current_device = device;
  return true;
}

Stream *FindStream(void *handle) { return Lookup(handle).get(); }

}  // namespace host_cann

using namespace host_cann;  // NOLINT: the entry points are this file's other half

EXPORT int aclInit(const char *) {
  ExplainAccessFaults();
  return 0;
}
// torch_npu keeps what its caches and live tensors hold; who frees everything may want to know what was forgotten.
EXPORT int aclFinalize() {
  if (std::getenv("ASCEND_MOE_GATING_SIMULATOR_LEAKS") == nullptr) return 0;
  for (const auto &[device, address, bytes] : Allocations()) {
    std::fprintf(stderr, "host stand-in for CANN: %zu bytes at %p on device %d were never freed\n", bytes, address,
                 device);
  }
  return 0;
}

EXPORT int aclrtGetDeviceCount(uint32_t *count) {
  *count = static_cast<uint32_t>(DeviceCount());
  return 0;
}

EXPORT int aclrtSetDevice(int32_t device) {
  if (SetCurrentDevice(device)) return 0;
  return Fail(kInvalidDevice, "aclrtSetDevice: there is no device " + std::to_string(device) + ", only " +
                                  std::to_string(DeviceCount()));
}

EXPORT int aclrtGetDevice(int32_t *device) {
  if (current_device < 0) return Fail(kNoContext, "aclrtGetDevice: no device is set");
  *device = current_device;
  return 0;
}

EXPORT int aclrtResetDevice(int32_t device) {
  if (device < 0 || device >= DeviceCount()) return Fail(kInvalidDevice, "aclrtResetDevice: no such device");
  for (const auto &stream : StreamsOf(device)) stream->Synchronize();
  return 0;
}

EXPORT int aclrtGetCurrentContext(void **context) {
  if (current_device < 0) return Fail(kNoContext, "aclrtGetCurrentContext: no device is set");
  *context = &All().contexts[current_device];
  return 0;
}

EXPORT int aclrtSetCurrentContext(void *context) {
  const auto device = static_cast<char *>(context) - All().contexts;
  if (context != nullptr && SetCurrentDevice(static_cast<int>(device))) return 0;
  return Fail(kInvalidParam, "aclrtSetCurrentContext: not a context");
}

// flags: 0 = the primary context's defaults; active as soon as the device exists.
EXPORT int aclrtGetPrimaryCtxState(int32_t device, uint32_t *flags, int32_t *active) {
  if (device < 0 || device >= DeviceCount()) return Fail(kInvalidDevice, "aclrtGetPrimaryCtxState: no such device");
  if (flags != nullptr) *flags = 0;
  *active = 1;
  return 0;
}

EXPORT int aclrtCreateStream(void **stream) { return CreateStream(stream); }
EXPORT int aclrtCreateStreamWithConfig(void **stream, uint32_t, uint32_t) { return CreateStream(stream); }
EXPORT int aclrtDestroyStream(void *stream) { return DestroyStream("aclrtDestroyStream", stream); }
EXPORT int aclrtDestroyStreamForce(void *stream) { return DestroyStream("aclrtDestroyStreamForce", stream); }

EXPORT int aclrtSynchronizeStreamWithTimeout(void *handle, int32_t timeout_ms) {
  if (const int status = FaultyCall("aclrtSynchronizeStream")) return status;
  const auto stream = Lookup(handle);
  if (const int status = CapturedStream("aclrtSynchronizeStream", stream)) return status;
  return stream == nullptr ? BadStream("aclrtSynchronizeStream") : stream->Synchronize(timeout_ms);
}
EXPORT int aclrtSynchronizeStream(void *handle) { return aclrtSynchronizeStreamWithTimeout(handle, -1); }
EXPORT int aclrtSynchronizeDevice() { return SynchronizeAll("aclrtSynchronizeDevice", -1); }
EXPORT int aclrtSynchronizeDeviceWithTimeout(int32_t timeout_ms) {
  return SynchronizeAll("aclrtSynchronizeDevice", timeout_ms);
}

EXPORT int aclrtStreamQuery(void *handle, int *status) {
  const auto stream = Lookup(handle);
  if (stream == nullptr) return BadStream("aclrtStreamQuery");
  if (const int code = CapturedStream("aclrtStreamQuery", stream)) return code;
  *status = stream->Idle() ? 0 : 1;  // ACL_STREAM_STATUS_COMPLETE, _NOT_READY
  return 0;
}

EXPORT int aclrtStreamGetId(void *handle, int32_t *id) {
  const auto stream = Lookup(handle);
  if (stream == nullptr) return BadStream("aclrtStreamGetId");
  *id = static_cast<int32_t>(stream->id());
  return 0;
}
