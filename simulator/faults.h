// Faults on demand: a named call fails, or what it launches fails or hangs, from its n-th occurrence on demand.
#pragma once

#include <string>

namespace host_cann {

enum class Fault { kCall = 0, kRun = 1, kHang = 2 };

// The status that this occurrence of a call returns instead of doing its work, or 0. Costs one relaxed load
// while no fault is asked for.
int FaultyCall(const char *entry_point);

// The same for what a call has launched, on the stream's worker; a hang lasts until the faults are lifted.
int FaultyRun(const std::string &entry_point);

}  // namespace host_cann
