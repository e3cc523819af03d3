// Hash routing, instead of steps 2 to 4: the experts of a token are the row of a table that its id names.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>

#include "moe_gating_top_k.h"

namespace moe_gating {
namespace {

inline int64_t integer(const void *values, int32_t int64, int64_t at) {
  return int64 != 0 ? static_cast<const int64_t *>(values)[at] : static_cast<const int32_t *>(values)[at];
}

inline int64_t id_of(const moe_gating_top_k_args &a, int64_t token) {
  return integer(a.input_ids, a.input_ids_int64, token * a.input_ids_stride);
}

inline int64_t expert_of(const moe_gating_top_k_args &a, int64_t id, int64_t i) {
  return integer(a.tid2eid, a.tid2eid_int64, id * a.tid2eid_row_stride + i * a.tid2eid_column_stride);
}

inline void take_experts(const moe_gating_top_k_args &a, int64_t token, int32_t *chosen) {
  const int64_t id = id_of(a, token);
  for (int64_t i = 0; i < a.k; ++i) chosen[i] = static_cast<int32_t>(expert_of(a, id, i));
}

// An id or an expert that would be read from outside of its table, with words for it unless `text` is null.
inline moe_gating_code find_stray(const moe_gating_top_k_args &a, int64_t first, int64_t last, char *text,
                                  size_t room) {
  if (a.input_ids == nullptr) return MOE_GATING_OK;
  for (int64_t token = first; token < last; ++token) {
    const int64_t id = id_of(a, token);
    if (id < 0 || id >= a.vocabulary) {
      if (text != nullptr)
        std::snprintf(text, room,
                      "input_ids must name one of the %" PRId64 " rows of tid2eid, got %" PRId64 " for token %" PRId64,
                      a.vocabulary, id, token);
      return MOE_GATING_BAD_INPUT_IDS;
    }
    for (int64_t i = 0; i < a.k; ++i) {
      const int64_t expert = expert_of(a, id, i);
      if (expert >= 0 && expert < a.experts) continue;
      if (text != nullptr)
        std::snprintf(text, room,
                      "tid2eid must hold experts between 0 and %" PRId64 ", got %" PRId64 " in row %" PRId64,
                      a.experts - 1, expert, id);
      return MOE_GATING_BAD_TID2EID;
    }
  }
  return MOE_GATING_OK;
}

}  // namespace
}  // namespace moe_gating
