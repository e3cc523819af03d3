// The C interface of the gradient: the guard, then the rows.
#include "moe_gating_top_k_gradient.h"

#include <algorithm>

#include "arguments.h"
#include "threads.h"
#include "versions.h"

namespace moe_gating {
namespace {

moe_gating_code check_gradient(const moe_gating_top_k_gradient_args *args) {
  if (const auto code = check_logits(args)) return code;
  const auto &a = *args;
  if (a.k < 1 || a.k > a.experts) return MOE_GATING_BAD_K;
  if (a.renorm != 0 && a.renorm != 1) return MOE_GATING_BAD_RENORM;
  if (a.norm_type < MOE_GATING_SOFTMAX || a.norm_type > MOE_GATING_SQRT_SOFTPLUS) return MOE_GATING_BAD_NORM_TYPE;
  if (a.tokens == 0) return MOE_GATING_OK;
  if (a.x == nullptr || a.expert_idx == nullptr || a.grad_x == nullptr) return MOE_GATING_NULL_POINTER;
  const auto stray = [&a](int32_t expert) { return expert < 0 || expert >= a.experts; };
  const bool strays = std::any_of(a.expert_idx, a.expert_idx + a.tokens * a.k, stray);
  return strays ? MOE_GATING_BAD_EXPERT_IDX : MOE_GATING_OK;
}

}  // namespace
}  // namespace moe_gating

int moe_gating_top_k_gradient(const moe_gating_top_k_gradient_args *args, int threads) {
  const moe_gating_code code = moe_gating::check_gradient(args);
  if (code != MOE_GATING_OK || args->tokens == 0) return code;
  moe_gating::share_rows(args->tokens, args->experts, threads, [args](int64_t first, int64_t last) {
    moe_gating::version()->run_gradients(*args, first, last);
  });
  return MOE_GATING_OK;
}
