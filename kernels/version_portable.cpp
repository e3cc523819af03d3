#include "vector_portable.h"
// The vector comes first.
#include "gradients.h"
#include "rows.h"
#include "versions.h"

const moe_gating::Version moe_gating::portable = {"portable", run_rows, run_gradients};
