// What ran on the devices, for tests and for the curious: one JSON object per launch.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tensor.h"

namespace host_cann {

struct Launch {
  const char *kind;  // "aclnn", "graph node" or "copy"
  std::string name;  // aclnnMoeGatingTopK, MoeGatingTopK, ...
  // Name and tensor; an optional tensor that was not given is left out.
  std::vector<std::pair<std::string, View>> inputs, outputs;
  std::vector<std::pair<std::string, std::string>> attributes;  // the value as JSON text
  int device = 0;
  uint64_t stream = 0;
};

class Timer {  // of one launch, in microseconds of one clock for the process
 public:
  double start() const { return start_; }
  double elapsed() const { return Now() - start_; }

 private:
  static double Now();
  double start_ = Now();
};

bool Logging();                                      // false costs one relaxed load per launch
void Log(const Launch &launch, const Timer &timer);  // called on the stream's worker, in execution order

std::string Json(const std::string &text);  // quoted and escaped
std::string Json(bool value);
std::string Json(int64_t value);
std::string Json(double value);

}  // namespace host_cann
