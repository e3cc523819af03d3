// How many devices there are, and which one the calling thread uses.
#pragma once

#include <cstddef>
#include <string>

namespace host_cann {

constexpr int kMaxDevices = 16;
constexpr int kCubeCores = 24, kVectorCores = 48;

// What the environment gets wrong, or nothing. Called for the first time, it puts the environment's faults in force.
const std::string &WrongSetting();

int CheckedDevice(int device);      // the device, or a Refusal when there is no such one
int DeviceCount();                  // ASCEND_MOE_GATING_SIMULATOR_DEVICES, 2 without it
size_t DeviceMemory();              // bytes of each: ASCEND_MOE_GATING_SIMULATOR_MEMORY, 16 GiB without it
int CurrentDevice();                // of the calling thread, or a Refusal before aclrtSetDevice
void SetCurrentDevice(int device);  // or a Refusal when there is no such device

}  // namespace host_cann
