// Launches: everything that runs on a stream under a name of its own can fail or hang on demand, and is written down
// for tests and for the curious, as one JSON object.
#pragma once

#include <functional>

#include "call.h"
#include "stream.h"

namespace host_cann {

// On the stream's worker; what `work` refuses is said with the launch's name.
void Run(const Launch &launch, const Stream &on, const std::function<void()> &work);

}  // namespace host_cann
