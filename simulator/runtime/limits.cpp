#include "limits.h"

#include "device.h"
#include "entry_point.h"
#include "stream.h"

namespace host_cann {
namespace {

constexpr std::array<uint32_t, 2> kThere = {kCubeCores, kVectorCores};

Limits of_devices[kMaxDevices];
thread_local std::weak_ptr<Stream> used;  // whose limits are those of the thread

size_t Resource(int what) {
  if (what < 0 || what >= static_cast<int>(kThere.size()))
    throw Refusal{kInvalidParam, "there is no number " + std::to_string(what)};
  return static_cast<size_t>(what);
}

void Set(Limits &limits, int what, uint32_t value) {
  const size_t resource = Resource(what);
  if (value < 1 || value > kThere[resource])
    throw Refusal{kInvalidParam, "the limit " + std::to_string(value) + " is not in 1 to the " +
                                     std::to_string(kThere[resource]) + " cores that there are"};
  limits[resource] = value;
}

void Reset(Limits &limits) {
  for (auto &limit : limits) limit = 0;
}

uint32_t OfDevice(int device, size_t resource) {
  const uint32_t limit = of_devices[CheckedDevice(device)][resource];
  return limit != 0 ? limit : kThere[resource];
}

uint32_t OfStream(const Stream &stream, size_t resource) {
  const uint32_t limit = stream.limits[resource];
  return limit != 0 ? limit : OfDevice(stream.device(), resource);
}

}  // namespace

ENTRY_POINT(aclrtSetDeviceResLimit, (int32_t device, int what, uint32_t value),
            Set(of_devices[CheckedDevice(device)], what, value))
ENTRY_POINT(aclrtResetDeviceResLimit, (int32_t device), Reset(of_devices[CheckedDevice(device)]))
ENTRY_POINT(aclrtGetDeviceResLimit, (int32_t device, int what, uint32_t *value),
            Place(value) = OfDevice(device, Resource(what)))

ENTRY_POINT(aclrtSetStreamResLimit, (void *stream, int what, uint32_t value),
            Set(StreamOf(stream)->limits, what, value))
ENTRY_POINT(aclrtResetStreamResLimit, (void *stream), Reset(StreamOf(stream)->limits))
ENTRY_POINT(aclrtGetStreamResLimit, (void *stream, int what, uint32_t *value),
            Place(value) = OfStream(*StreamOf(stream), Resource(what)))

ENTRY_POINT(aclrtUseStreamResInCurrentThread, (void *stream), used = StreamOf(stream))
ENTRY_POINT(aclrtUnuseStreamResInCurrentThread, (void *stream), StreamOf(stream); used.reset())
EXPORT int aclrtGetResInCurrentThread(int what, uint32_t *value) {
  return EntryPoint(__func__, [&] {
    const auto stream = used.lock();
    Place(value) = stream == nullptr ? OfDevice(CurrentDevice(), Resource(what)) : OfStream(*stream, Resource(what));
  });
}

}  // namespace host_cann
