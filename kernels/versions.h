// The versions of the kernel: one source, compiled once for each kind of vector.
#pragma once

#include "moe_gating_top_k.h"
#include "moe_gating_top_k_gradient.h"

namespace moe_gating {

using RunRows = void (*)(const moe_gating_top_k_args &args, int64_t first, int64_t last);
using RunGradients = void (*)(const moe_gating_top_k_gradient_args &args, int64_t first, int64_t last);

struct Version {
  const char *name;
  RunRows run_rows;
  RunGradients run_gradients;
};

extern const Version avx512;
extern const Version avx2;
extern const Version neon;
extern const Version portable;

// The best one that this processor has, or the one that ASCEND_MOE_GATING_VECTOR names, in any case; null when it has no
// such. Chosen once.
const Version *version();

// Why version() is null: the variable, the versions that this processor has, and the value.
const char *refusal();

}  // namespace moe_gating
