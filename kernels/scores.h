// Step 1: logits to scores, in place. The order of operations is that of plugin/reference.py.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace moe_gating {

// In double: one large value among 2048 small ones costs a float32 sum more than 10 ulp. Eight partial sums for speed.
inline float sum(const float *values, int64_t count) {
  constexpr int64_t lanes = 8;
  double partial[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) partial[lane] += values[i + lane];
  for (int64_t lane = 0; i < count; ++i, ++lane) partial[lane] += values[i];
  return static_cast<float>(((partial[0] + partial[1]) + (partial[2] + partial[3])) +
                            ((partial[4] + partial[5]) + (partial[6] + partial[7])));
}

inline void sigmoid(float *values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = 1.0f / (1.0f + std::exp(-values[i]));  // exp may be inf
}

inline void softmax(float *values, int64_t count) {
  const float maximum = *std::max_element(values, values + count);
  for (int64_t i = 0; i < count; ++i) values[i] = std::exp(values[i] - maximum);
  const float total = sum(values, count);
  for (int64_t i = 0; i < count; ++i) values[i] /= total;
}

}  // namespace moe_gating
