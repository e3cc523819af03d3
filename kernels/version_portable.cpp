#include "vector_portable.h"
// The vector comes first.
#include "rows.h"
#include "versions.h"

void moe_gating::run_rows_portable(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  run_rows(args, first, last);
}
