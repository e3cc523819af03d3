// Matrix products, softmax and the gate.
#pragma once

#include <string>

#include "tensor.h"

namespace host_cann {

// out [..., m, n] = alpha * a [..., m, k] x b [..., k, n] + beta * bias (or none), batches and bias broadcast;
// accumulated in float32 and rounded once.
void MatMul(const View &a, const View &b, const View &bias, double alpha, double beta, const View &out);

// exp(x - maximum) / sum along dim, in float32 or float64.
void Softmax(const View &x, int64_t dim, const View &y);

struct Gating {
  int64_t k = 1, k_group = 1, group_count = 1, group_select_mode = 0, renorm = 0, norm_type = 0;
  bool out_flag = false;
  float routed_scaling_factor = 1.0F, eps = 1e-20F;
};

// Why CANN would refuse this call of MoeGatingTopK, or an empty text.
std::string GatingRefusal(const Gating &g, const View &x, const View &bias);
// The kernel of this project; norm_out is written only with out_flag.
void GatingTopK(const Gating &g, const View &x, const View &bias, const View &y, const View &expert_idx,
                const View &norm_out);

}  // namespace host_cann
