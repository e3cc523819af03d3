// The guard against memory errors. The constraints with their messages are checked by the callers.
#pragma once

#include "moe_gating_top_k.h"
#include "versions.h"

namespace moe_gating {

// What the operator and its gradient have in common.
template <class Arguments>
moe_gating_code check_logits(const Arguments *args) {
  if (args == nullptr) return MOE_GATING_NO_ARGUMENTS;
  if (version() == nullptr) return MOE_GATING_BAD_VECTOR;
  if (args->dtype < MOE_GATING_FLOAT32 || args->dtype > MOE_GATING_BFLOAT16) return MOE_GATING_BAD_DTYPE;
  if (args->tokens < 0) return MOE_GATING_BAD_TOKENS;
  return args->experts < 1 || args->experts > MOE_GATING_MAX_EXPERTS ? MOE_GATING_BAD_EXPERTS : MOE_GATING_OK;
}

inline moe_gating_code check(const moe_gating_top_k_args *args) {
  if (const auto code = check_logits(args)) return code;
  const auto &a = *args;
  if (a.group_count < 1 || a.experts % a.group_count != 0) return MOE_GATING_BAD_GROUP_COUNT;
  const bool drops_groups = a.k_group < a.group_count && a.group_count < a.experts;
  if (drops_groups && a.group_count > MOE_GATING_MAX_GROUPS) return MOE_GATING_BAD_GROUP_COUNT;
  if (a.k_group < 1 || a.k_group > a.group_count) return MOE_GATING_BAD_K_GROUP;
  if (a.k < 1 || a.k > a.k_group * (a.experts / a.group_count)) return MOE_GATING_BAD_K;
  if (a.group_select_mode != 0 && a.group_select_mode != 1) return MOE_GATING_BAD_GROUP_SELECT_MODE;
  if (a.renorm != 0 && a.renorm != 1) return MOE_GATING_BAD_RENORM;
  if (a.norm_type < MOE_GATING_SOFTMAX || a.norm_type > MOE_GATING_SQRT_SOFTPLUS) return MOE_GATING_BAD_NORM_TYPE;
  const bool routed = a.input_ids == nullptr || a.tid2eid != nullptr || a.vocabulary == 0;
  const bool complete = a.x != nullptr && a.y != nullptr && a.expert_idx != nullptr && routed;
  return a.tokens == 0 || complete ? MOE_GATING_OK : MOE_GATING_NULL_POINTER;
}

inline const char *describe(int code) {
  switch (code) {
    case MOE_GATING_OK: return "no error";
    case MOE_GATING_NO_ARGUMENTS: return "args is null";
    case MOE_GATING_BAD_DTYPE: return "dtype is not float32, float16 or bfloat16";
    case MOE_GATING_BAD_TOKENS: return "tokens is negative";
    case MOE_GATING_BAD_EXPERTS: return "experts is not between 1 and 2048";
    case MOE_GATING_BAD_GROUP_COUNT:
      return "group_count does not divide experts, or is more than 64 of which some are dropped";
    case MOE_GATING_BAD_K_GROUP: return "k_group is not between 1 and group_count";
    case MOE_GATING_BAD_K: return "k is not between 1 and k_group * experts / group_count";
    case MOE_GATING_BAD_GROUP_SELECT_MODE: return "group_select_mode is not 0 or 1";
    case MOE_GATING_BAD_RENORM: return "renorm is not 0 or 1";
    case MOE_GATING_BAD_NORM_TYPE: return "norm_type is not 0, 1 or 2";
    case MOE_GATING_NULL_POINTER: return "x, y, expert_idx or tid2eid is null";
    case MOE_GATING_BAD_VECTOR: return refusal();
    case MOE_GATING_BAD_INPUT_IDS: return "a value of input_ids names no row of tid2eid";
    case MOE_GATING_BAD_TID2EID: return "a row of tid2eid names no expert";
    case MOE_GATING_BAD_EXPERT_IDX: return "a value of expert_idx names no expert";
    default: return "unknown code";
  }
}

}  // namespace moe_gating
