/* The gradient of npu_moe_gating_top_k with respect to the logits. Plain C ABI, callable from any thread. */
#ifndef MOE_GATING_TOP_K_GRADIENT_H
#define MOE_GATING_TOP_K_GRADIENT_H

#include "moe_gating_top_k.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const void *x; /* [tokens, experts], strides in elements (may be 0 or negative) */
  int64_t x_row_stride, x_column_stride;
  const int32_t *expert_idx;  /* [tokens, k] contiguous: the experts that were chosen, in any order, repeated or not */
  const void *grad_y;         /* [tokens, k] of x's dtype, contiguous; NULL for zeros */
  const float *grad_norm_out; /* [tokens, experts] contiguous; NULL for zeros */
  void *grad_x;               /* [tokens, experts] of x's dtype, contiguous */
  int64_t tokens, experts, k, renorm, norm_type;
  float routed_scaling_factor, eps;
  int32_t dtype; /* moe_gating_dtype of x, grad_y and grad_x */
} moe_gating_top_k_gradient_args;

/* Uses up to `threads` threads (fewer when there is little work; less than 1 counts as 1). Arithmetic is in float32, the
   result is rounded once. Returns 0, or a nonzero moe_gating_code without touching grad_x when the arguments cannot be
   run. MOE_GATING_BAD_EXPERT_IDX: a value of expert_idx is no expert. */
MOE_GATING_EXPORT int moe_gating_top_k_gradient(const moe_gating_top_k_gradient_args *args, int threads);

#ifdef __cplusplus
}
#endif

#endif
