// The C interface of the operator: the guard, then the rows.
#include "moe_gating_top_k.h"

#include "arguments.h"
#include "routing.h"
#include "threads.h"
#include "versions.h"

int moe_gating_top_k(const moe_gating_top_k_args *args, int threads) {
  const moe_gating_code code = moe_gating::check(args);
  if (code != MOE_GATING_OK || args->tokens == 0) return code;
  if (const int stray = moe_gating_top_k_stray(args, 0, args->tokens, nullptr, 0)) return stray;
  moe_gating::share_rows(args->tokens, args->experts, threads,
                         [args](int64_t first, int64_t last) { moe_gating::version()->run_rows(*args, first, last); });
  return MOE_GATING_OK;
}

int moe_gating_top_k_rows(const moe_gating_top_k_args *args, int64_t first, int64_t last) {
  const moe_gating_code code = moe_gating::check(args);
  if (code != MOE_GATING_OK) return code;
  if (first < 0 || first > last || last > args->tokens) return MOE_GATING_BAD_TOKENS;
  if (const int stray = moe_gating_top_k_stray(args, first, last, nullptr, 0)) return stray;
  if (first < last) moe_gating::version()->run_rows(*args, first, last);
  return MOE_GATING_OK;
}

int moe_gating_top_k_stray(const moe_gating_top_k_args *args, int64_t first, int64_t last, char *text, size_t room) {
  return moe_gating::find_stray(*args, first, last, text, room);
}

const char *moe_gating_top_k_vector(void) {
  return moe_gating::version() == nullptr ? "none" : moe_gating::version()->name;
}

const char *moe_gating_top_k_error(int code) { return moe_gating::describe(code); }
