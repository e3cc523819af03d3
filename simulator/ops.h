// The arithmetic of the stand-in, once: the aclnn calls and the GE nodes are two doors to these functions.
#pragma once

#include <string>

#include "tensor.h"

namespace host_cann {

// Element by element with broadcasting of `from`, converting the dtype as torch does. Strides make it a transposition too.
void Copy(const View &from, const View &to);

// out [..., m, n] = a [..., m, k] x b [..., k, n] + bias [n] (or null), batches broadcast; accumulated
// in float32 and rounded once.
void MatMul(const View &a, const View &b, const View *bias, const View &out);

void FillWith(double value, const View &to);

// exp(x - maximum) / sum along dim, in float32 or float64.
void Softmax(const View &x, int64_t dim, const View &y);

struct Gating {
  int64_t k = 1, k_group = 1, group_count = 1, group_select_mode = 0, renorm = 0, norm_type = 0;
  bool out_flag = false;
  float routed_scaling_factor = 1.0F, eps = 1e-20F;
};

// Hash routing, if both are there: the experts of a token are the row of tid2eid that its id names.
struct Routing {
  const View *input_ids = nullptr, *tid2eid = nullptr;
};

// Why CANN would refuse this call of MoeGatingTopK (561002), or an empty text.
std::string GatingRefusal(const Gating &g, const View &x, const View *bias, const Routing &routing = {});
// The kernel of this project; norm_out is written only with out_flag. Returns 0, or 507015, as a device that reads outside
// of its memory does, for an id or an expert that does not exist.
int GatingTopK(const Gating &g, const View &x, const View *bias, const View &y, const View &expert_idx,
               const View &norm_out, const Routing &routing = {});

}  // namespace host_cann
