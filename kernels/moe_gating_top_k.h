/* The fused CPU kernel of npu_moe_gating_top_k. Plain C ABI, callable from any thread. */
#ifndef MOE_GATING_TOP_K_H
#define MOE_GATING_TOP_K_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MOE_GATING_EXPORT __attribute__((visibility("default")))
#else
#define MOE_GATING_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { MOE_GATING_FLOAT32 = 0, MOE_GATING_FLOAT16 = 1, MOE_GATING_BFLOAT16 = 2 } moe_gating_dtype;

/* norm_type: the scores of the logits. All but a softmax without renorm are divided by the sum of the chosen ones. */
typedef enum { MOE_GATING_SOFTMAX = 0, MOE_GATING_SIGMOID = 1, MOE_GATING_SQRT_SOFTPLUS = 2 } moe_gating_norm_type;

enum { MOE_GATING_MAX_EXPERTS = 2048, MOE_GATING_MAX_GROUPS = 64 };

/* Less than this many logits are not worth a thread of their own. */
enum { MOE_GATING_LOGITS_PER_THREAD = 65536 };

typedef struct {
  const void *x; /* [tokens, experts], strides in elements (may be 0 or negative) */
  int64_t x_row_stride, x_column_stride;
  const void *bias; /* [experts] of x's dtype, or NULL */
  int64_t bias_stride;
  int64_t tokens, experts, k, k_group, group_count, group_select_mode, renorm, norm_type;
  float routed_scaling_factor, eps;
  int32_t dtype;       /* moe_gating_dtype of x, bias and y */
  void *y;             /* [tokens, k] contiguous */
  int32_t *expert_idx; /* [tokens, k] contiguous */
  float *norm_out;     /* [tokens, experts] contiguous, or NULL when not asked for */
  /* Hash routing, unless input_ids is NULL: the experts of a token are row input_ids[token] of tid2eid. */
  const void *input_ids; /* [tokens], int64 or int32 */
  const void *tid2eid;   /* [vocabulary, k], int64 or int32 */
  int64_t input_ids_stride, tid2eid_row_stride, tid2eid_column_stride, vocabulary;
  int32_t input_ids_int64, tid2eid_int64;
} moe_gating_top_k_args;

typedef enum {
  MOE_GATING_OK = 0,
  MOE_GATING_NO_ARGUMENTS = 1,
  MOE_GATING_BAD_DTYPE = 2,
  MOE_GATING_BAD_TOKENS = 3,
  MOE_GATING_BAD_EXPERTS = 4,
  MOE_GATING_BAD_GROUP_COUNT = 5,
  MOE_GATING_BAD_K_GROUP = 6,
  MOE_GATING_BAD_K = 7,
  MOE_GATING_BAD_GROUP_SELECT_MODE = 8,
  MOE_GATING_BAD_RENORM = 9,
  MOE_GATING_BAD_NORM_TYPE = 10,
  MOE_GATING_NULL_POINTER = 11,
  MOE_GATING_BAD_VECTOR = 12,
  MOE_GATING_BAD_INPUT_IDS = 13,
  MOE_GATING_BAD_TID2EID = 14,
  MOE_GATING_BAD_EXPERT_IDX = 15
} moe_gating_code;

/* Uses up to `threads` threads (fewer when there is little work; less than 1 counts as 1). Returns 0, or a nonzero
   moe_gating_code without touching the outputs when the arguments cannot be run. */
MOE_GATING_EXPORT int moe_gating_top_k(const moe_gating_top_k_args *args, int threads);

/* The same for the rows from first up to last, on the calling thread: for callers that bring their own threads. */
MOE_GATING_EXPORT int moe_gating_top_k_rows(const moe_gating_top_k_args *args, int64_t first, int64_t last);

/* The code of the first id in input_ids, from token first up to last, that names no row of tid2eid, or whose row names
   no expert; the calls above refuse it too. `text`, unless NULL, receives the argument, the rule and the value. */
MOE_GATING_EXPORT int moe_gating_top_k_stray(const moe_gating_top_k_args *args, int64_t first, int64_t last, char *text,
                                             size_t room);

/* The vector version that runs in this process: avx512, avx2, neon or portable. The environment variable
   ASCEND_MOE_GATING_VECTOR names another than the best; "none" when this processor has no such, and then the text for
   MOE_GATING_BAD_VECTOR says which it has. */
MOE_GATING_EXPORT const char *moe_gating_top_k_vector(void);

/* A short English text for a code; never NULL. */
MOE_GATING_EXPORT const char *moe_gating_top_k_error(int code);

#ifdef __cplusplus
}
#endif

#endif
