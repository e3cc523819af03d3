// Launches: everything that runs on a stream under a name of its own can fail or hang on demand, and is written down
// for tests and for the curious, as one JSON object.
#pragma once

#include <functional>
#include <string>

#include "json.h"
#include "stream.h"

namespace host_cann {

struct Launched {
  const char *kind;  // "aclnn", "graph node" or "copy"
  std::string name;  // aclnnMoeGatingTopK, MoeGatingTopK, ...
};

// On the stream's worker; what `work` refuses is said with the launch's name. While somebody records, `describe` adds
// the inputs, outputs and attributes.
void Run(const Launched &launched, const Stream &on, const std::function<void()> &work,
         const std::function<void(JsonObject &)> &describe);

}  // namespace host_cann
