// Compiled with the options of CMakeLists.txt for these instructions.
#if defined(__x86_64__)

#include "vector_avx2.h"
// The vector comes first.
#include "gradients.h"
#include "rows.h"
#include "versions.h"

const moe_gating::Version moe_gating::avx2 = {"avx2", run_rows, run_gradients};

#endif
