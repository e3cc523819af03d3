// Faults on demand: a named call fails, or what it launches fails or hangs, from its n-th occurrence on demand.
#pragma once

#include <string>

namespace host_cann {

enum class Fault { kCall = 0, kRun = 1, kHang = 2 };

// The Refusal of this occurrence of what a call has launched, on the stream's worker; a hang lasts until the faults are
// lifted. Costs one relaxed load while no fault is asked for, as InjectedStatus() does.
void RunInjectedFault(const std::string &entry_point);

}  // namespace host_cann
