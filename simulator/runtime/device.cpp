// Devices and contexts, and what the wheels ask about the machine.
#include "device.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "entry_point.h"
#include "memory.h"
#include "stream.h"

namespace host_cann {
namespace {

constexpr int64_t kL2Bytes = int64_t{192} << 20;

thread_local int current_device = -1;
char contexts[kMaxDevices];  // a context is the address of its device's byte

}  // namespace

int CheckedDevice(int device) {
  if (device >= 0 && device < DeviceCount()) return device;
  const std::string text = "there is no device " + std::to_string(device) + ", only " + std::to_string(DeviceCount());
  throw Refusal{kInvalidDevice, text};
}

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

int CurrentDevice() {
  if (current_device < 0) throw Refusal{kNoContext, "no device is set"};
  return current_device;
}

void SetCurrentDevice(int device) {
  current_device = CheckedDevice(device);
  UseDevice();
}

EXPORT int aclInit(const char *) {
  return EntryPoint(__func__, [] {
    if (!WrongSetting().empty()) throw Refusal{kInvalidParam, WrongSetting()};
    ExplainAccessFaults();
  });
}

// torch_npu keeps what its caches and live tensors hold; who frees everything may want to know what was forgotten.
EXPORT int aclFinalize() {
  return EntryPoint(__func__, [] {
    if (std::getenv("ASCEND_MOE_GATING_SIMULATOR_LEAKS") == nullptr) return;
    for (const auto &[device, address, bytes] : Allocations()) {
      std::fprintf(stderr, "host stand-in for CANN: %zu bytes at %p on device %d were never freed\n", bytes, address,
                   device);
    }
  });
}

// A forked process may ask too.
EXPORT int aclrtGetDeviceCount(uint32_t *count) {
  return EntryPointWithoutDevice(__func__, [&] { Place(count) = static_cast<uint32_t>(DeviceCount()); });
}
ENTRY_POINT(aclrtSetDevice, (int32_t device), SetCurrentDevice(device))
ENTRY_POINT(aclrtGetDevice, (int32_t *device), Place(device) = CurrentDevice())
ENTRY_POINT(aclrtResetDevice, (int32_t device), SynchronizeAll(CheckedDevice(device)))

ENTRY_POINT(aclrtGetCurrentContext, (void **context), Place(context) = &contexts[CurrentDevice()])
EXPORT int aclrtSetCurrentContext(void *context) {
  return EntryPoint(__func__, [&] {
    const auto *begin = contexts, *end = contexts + DeviceCount(), *at = static_cast<char *>(context);
    if (std::less<>()(at, begin) || !std::less<>()(at, end)) throw Refusal{kInvalidParam, "not a context"};
    SetCurrentDevice(static_cast<int>(at - begin));
  });
}

// flags: 0 = the primary context's defaults; active as soon as the device exists.
EXPORT int aclrtGetPrimaryCtxState(int32_t device, uint32_t *flags, int32_t *active) {
  return EntryPoint(__func__, [&] {
    if (flags != nullptr) *flags = 0;
    Place(active) = CheckedDevice(device) == device ? 1 : 0;
  });
}

// INF/NaN arithmetic and bfloat16 are there; just-in-time compilation is not.
EXPORT int aclGetCannAttribute(int attribute, int32_t *value) {
  *value = attribute == 0 || attribute == 1 ? 1 : 0;
  return 0;
}
EXPORT int aclGetDeviceCapability(uint32_t, int what, int64_t *value) {
  constexpr int64_t kValues[] = {kCubeCores, kVectorCores, kL2Bytes};
  return EntryPoint(__func__, [&] {
    if (what < 0 || what > 2) throw Refusal{kInvalidParam, "there is no number " + std::to_string(what)};
    Place(value) = kValues[what];
  });
}

EXPORT int aclrtDeviceCanAccessPeer(int32_t *can, int32_t device, int32_t peer) {
  *can = device != peer ? 1 : 0;
  return 0;
}

}  // namespace host_cann
