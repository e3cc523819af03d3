// The small objects that aclnn calls take; CANN's callers see only pointers. Tensor and Scalar are in call.h.
#pragma once

#include <cstdint>
#include <vector>

#include "call.h"

struct TensorList {
  std::vector<const Tensor *> tensors;
};
struct IntArray {
  std::vector<int64_t> values;
};
