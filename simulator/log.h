// What ran on the devices, for tests and for the curious: one JSON object per launch.
#pragma once

#include <cstdint>
#include <string>

#include "call.h"

namespace host_cann {

class Timer {  // of one launch, in microseconds of one clock for the process
 public:
  double start() const { return start_; }
  double elapsed() const { return Now() - start_; }

 private:
  static double Now();
  double start_ = Now();
};

bool Logging();  // false costs one relaxed load per launch

// Called on the stream's worker, in the order of execution.
void Log(const Launch &launch, int device, uint64_t stream, const Timer &timer);

}  // namespace host_cann
