#if defined(__aarch64__)

#include "vector_neon.h"
// The vector comes first.
#include "gradients.h"
#include "rows.h"
#include "versions.h"

const moe_gating::Version moe_gating::neon = {"neon", run_rows, run_gradients};

#endif
