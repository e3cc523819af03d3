// Device memory. A device address cannot be read or written by the host; the kernels of the stand-in use a private
// second mapping of the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace host_cann {

void *DeviceMalloc(int device, size_t bytes);  // null when the device is full
bool DeviceFree(void *address);                // false when it was not allocated
int DeviceOf(const void *address);             // -1: it is not a device address
inline bool IsDevice(const void *address) { return DeviceOf(address) >= 0; }
size_t DeviceFreeBytes(int device);
size_t DeviceTotalBytes(int device);

// The host's view of `bytes` bytes at a device address; null when they do not lie inside one live allocation.
uint8_t *Map(const void *address, size_t bytes);

// "16 bytes at 0x..., 8 bytes into a freed allocation of 512 bytes on device 0": for messages about what Map refused.
std::string Explain(const void *address, size_t bytes);

// From now on an access of the host to device memory, which faults, says so before the process dies.
void ExplainAccessFaults();

struct Allocation {
  int device;
  void *address;
  size_t bytes;
};
std::vector<Allocation> Allocations();  // that are live

}  // namespace host_cann
