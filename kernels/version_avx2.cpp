// Compiled with the options of CMakeLists.txt for these instructions.
#if defined(__x86_64__)

#include "vector_avx2.h"
// The vector comes first.
#include "rows.h"
#include "versions.h"

void moe_gating::run_rows_avx2(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  run_rows(args, first, last);
}

#endif
