// How many cores a device or a stream may use. Results do not depend on it: a limit is kept, and told to who asks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace host_cann {

// Of cubes and of vectors; 0: as many as there are.
using Limits = std::array<std::atomic<uint32_t>, 2>;

}  // namespace host_cann
