// Device and host memory, and the copies between them.
#include <cstdlib>
#include <cstring>
#include <string>

#include "capture.h"
#include "device.h"
#include "launch.h"
#include "memory.h"

namespace host_cann {
namespace {

enum Kind { kHostToHost, kHostToDevice, kDeviceToHost, kDeviceToDevice, kDefault };

std::string Bytes(size_t bytes) { return std::to_string(bytes) + " bytes"; }

// The host's address of `bytes` bytes at `address`, which must be on the side that `device` says.
uint8_t *Side(const void *address, size_t bytes, bool device) {
  if (device) return Map(address, bytes);
  return IsDevice(address) ? nullptr : static_cast<uint8_t *>(const_cast<void *>(address));
}

void Move(void *to, const void *from, size_t bytes, int kind) {
  if (bytes == 0) return;
  const bool from_device = kind == kDefault ? IsDevice(from) : kind == kDeviceToHost || kind == kDeviceToDevice;
  const bool to_device = kind == kDefault ? IsDevice(to) : kind == kHostToDevice || kind == kDeviceToDevice;
  const auto *source = Side(from, bytes, from_device);
  auto *target = Side(to, bytes, to_device);
  if (source == nullptr || target == nullptr) {
    const bool bad_source = source == nullptr, device_meant = bad_source ? from_device : to_device;
    throw Refusal{kInvalidParam, std::string("the ") + (bad_source ? "source" : "destination") + " is " +
                                     Explain(bad_source ? from : to, bytes) +
                                     (device_meant ? "" : ", where host memory is meant")};
  }
  std::memmove(target, source, bytes);
}

void Fill(void *address, int value, size_t bytes) {
  auto *target = IsDevice(address) ? Map(address, bytes) : static_cast<uint8_t *>(address);
  if (target == nullptr) throw Refusal{kInvalidParam, "the destination is " + Explain(address, bytes)};
  std::memset(target, value, bytes);
}

void CheckCapacity(size_t capacity, size_t bytes, int kind = kDefault) {
  if (bytes > capacity) throw Refusal{kInvalidParam, Bytes(bytes) + " do not fit into " + Bytes(capacity)};
  if (kind < kHostToHost || kind > kDefault)
    throw Refusal{kInvalidParam, "kind must be 0 to 4, got " + std::to_string(kind)};
}

void DescribeCopy(size_t bytes, int kind, JsonObject *line) {
  constexpr const char *kKinds[] = {"host to host", "host to device", "device to host", "device to device", "default"};
  JsonObject attributes;
  attributes.Add("bytes", static_cast<int64_t>(bytes)).Add("direction", kKinds[kind]);
  line->Add("inputs", JsonObject()).Add("outputs", JsonObject()).Add("attributes", attributes);
}

}  // namespace

EXPORT int aclrtMalloc(void **address, size_t bytes, int) {
  return EntryPoint("aclrtMalloc", [&] {
    const int device = CurrentDevice();
    Place(address) = DeviceMalloc(device, bytes);
    if (*address != nullptr) return;
    throw Refusal{kOutOfMemory, "device " + std::to_string(device) + " has no " + Bytes(bytes) + " in one piece; " +
                                    Bytes(DeviceFreeBytes(device)) + " of " + Bytes(DeviceTotalBytes(device)) +
                                    " are free"};
  });
}
EXPORT int aclrtMallocAlign32(void **address, size_t bytes, int policy) { return aclrtMalloc(address, bytes, policy); }

EXPORT int aclrtFree(void *address) {
  return EntryPoint(__func__, [&] {
    if (!DeviceFree(address))
      throw Refusal{kInvalidParam, "not an address that aclrtMalloc gave: " + Explain(address, 0)};
  });
}

EXPORT int aclrtMallocHost(void **address, size_t bytes) {
  return EntryPoint(__func__, [&] {
    Place(address) = bytes > SIZE_MAX - 64 ? nullptr : std::aligned_alloc(64, bytes / 64 * 64 + 64);
    if (*address == nullptr) throw Refusal{kOutOfMemory, "no " + Bytes(bytes) + " of host memory"};
  });
}
ENTRY_POINT(aclrtFreeHost, (void *address), std::free(address))

EXPORT int aclrtGetMemInfo(int, size_t *free_bytes, size_t *total_bytes) {
  return EntryPoint(__func__, [&] {
    const int device = CurrentDevice();
    Place(free_bytes) = DeviceFreeBytes(device);
    Place(total_bytes) = DeviceTotalBytes(device);
  });
}

EXPORT int aclrtMemcpy(void *to, size_t capacity, const void *from, size_t bytes, int kind) {
  return EntryPoint(__func__, [&] {
    CheckCapacity(capacity, bytes, kind);
    ForbidWhileCapturing("aclrtMemcpy");
    Move(to, from, bytes, kind);
  });
}

EXPORT int aclrtMemcpyAsync(void *to, size_t capacity, const void *from, size_t bytes, int kind, void *stream) {
  return LaunchPoint(__func__, stream, [&] {
    CheckCapacity(capacity, bytes, kind);
    Enqueue(stream, [=](const Stream &on) {
      const auto move = [&] { Move(to, from, bytes, kind); };
      Run({"copy", "aclrtMemcpyAsync"}, on, move, [&](JsonObject &line) { DescribeCopy(bytes, kind, &line); });
    });
  });
}

EXPORT int aclrtMemset(void *address, size_t capacity, int32_t value, size_t bytes) {
  return EntryPoint(__func__, [&] {
    CheckCapacity(capacity, bytes);
    Fill(address, value, bytes);
  });
}

EXPORT int aclrtMemsetAsync(void *address, size_t capacity, int32_t value, size_t bytes, void *stream) {
  return LaunchPoint(__func__, stream, [&] {
    CheckCapacity(capacity, bytes);
    Enqueue(stream, [=](const Stream &) { Fill(address, value, bytes); });
  });
}

}  // namespace host_cann
