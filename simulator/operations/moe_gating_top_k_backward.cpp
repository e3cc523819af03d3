// The gradient of MoeGatingTopK's x.
#include "indexing.h"
#include "operations.h"
#include "release.h"

namespace host_cann::operations {
namespace {

// As CANN's tiling says it.
void CheckSizes(const View &scores, const View &gradient, const View &experts) {
  if (scores.sizes.size() != 2) Invalid("x_norm is " + Sizes(scores.sizes) + ", not 2 dimensions", kBadTiling);
  const int64_t tokens = scores.sizes[0], count = scores.sizes[1];
  if (tokens < 1) Invalid("x_norm has no rows", kBadTiling);
  if (count > 2048) Invalid("x_norm has " + std::to_string(count) + " experts, more than 2048", kBadTiling);
  if (gradient.sizes.size() != 2 || gradient.sizes[0] != tokens)
    Invalid("grad_y is " + Sizes(gradient.sizes) + ", not [" + std::to_string(tokens) + ", k]", kBadTiling);
  if (gradient.sizes[1] < 1 || gradient.sizes[1] > count)
    Invalid("grad_y is " + Sizes(gradient.sizes) + ", its k is not in 1 to the " + std::to_string(count) + " experts",
            kBadTiling);
  if (experts.sizes != gradient.sizes)
    Invalid("expert_idx is " + Sizes(experts.sizes) + ", grad_y is " + Sizes(gradient.sizes), kBadTiling);
}

void DemandDType(const char *name, const View &view, bool taken) {
  if (!taken) Invalid(std::string(name) + " is " + DTypeName(view.dtype));
}

}  // namespace

bool HasGradient() { return CurrentRelease().number >= 901 && !CurrentSoc().is_950; }

// Inputs x_norm, grad_y and expert_idx. Only of sigmoid, whose weights are always divided by their sum.
void MoeGatingTopKBackward(Call &call) {
  if (!HasGradient())
    Invalid("there is no MoeGatingTopKBackward in " + Present() + ", it came with CANN 9.1 for Atlas A2 and A3",
            kBadTiling);
  const View &scores = call.In(0), &gradient = call.In(1), &experts = call.In(2);
  DemandDType("x_norm", scores, scores.dtype == DType::kFloat);
  DemandLogits("grad_y", gradient.dtype);
  DemandDType("expert_idx", experts, experts.dtype == DType::kInt32);
  CheckSizes(scores, gradient, experts);
  if (const int64_t norm_type = call.Integer("norm_type"); norm_type != 1)
    Invalid("norm_type is " + std::to_string(norm_type) + ", it must be 1 (" + Present() + ")", kBadTiling);
  DemandContiguous(call.inputs[2]);  // CANN would take others for it
  for (const auto &output : call.outputs) DemandContiguous(output);
  call.OutExactly(gradient.dtype, scores.sizes);
  const auto factor = static_cast<float>(call.Real("routed_scaling_factor", 1));
  const auto eps = static_cast<float>(call.Real("eps", 1e-20F));
  call.work = [factor, eps](const Views &in, Views &out) {
    const auto scores = Values<float>(in[0]), gradient = Values<float>(in[1]);
    const auto experts = Values<int64_t>(in[2]);
    const auto count = static_cast<size_t>(in[0].sizes[1]), k = static_cast<size_t>(in[1].sizes[1]);
    std::vector<float> result(scores.size(), 0.0F);
    for (size_t token = 0; token < scores.size() / count; ++token) {
      const float *row = scores.data() + token * count, *of_y = gradient.data() + token * k;
      const auto expert = [&](size_t i) {
        const int64_t id = experts[token * k + i];
        if (id < 0) Invalid("expert_idx has the negative number " + std::to_string(id), kIndexOutside);
        return static_cast<size_t>(Inside(id, static_cast<int64_t>(count)));
      };
      float sum = 0, shared = 0;
      for (size_t i = 0; i < k; ++i) sum += row[expert(i)];
      sum += eps;
      for (size_t i = 0; i < k; ++i) shared += row[expert(i)] / sum * (factor * of_y[i]);
      float *of_x = result.data() + token * count;
      for (size_t i = 0; i < k; ++i) of_x[expert(i)] += (factor * of_y[i] - shared) / sum;
      for (size_t i = 0; i < count; ++i) of_x[i] *= row[i] * (1 - row[i]);
    }
    Copy(Over(result, out[0].sizes), out[0]);
  };
}

}  // namespace host_cann::operations
