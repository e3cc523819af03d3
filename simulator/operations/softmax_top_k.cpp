// MoeGatingTopKSoftmaxV2: a softmax and a top-k, in either order.
#include "operations.h"

namespace host_cann::operations {

// Inputs x and finished, rows of which get the number of experts for an id.
void MoeGatingTopKSoftmaxV2(Call &call) {
  const View &x = call.In(0);
  const int64_t k = call.Integer("k"), renorm = call.Integer("renorm");
  const bool writes_softmax = call.Integer("output_softmax_result_flag") != 0 && renorm == 0;
  if (x.dtype != DType::kFloat && x.dtype != DType::kHalf && x.dtype != DType::kBFloat16)
    Invalid(std::string("x is ") + DTypeName(x.dtype));
  if (x.sizes.size() != 2 && x.sizes.size() != 3)
    Invalid("x is " + Sizes(x.sizes) + ", not 2 or 3 dimensions", kBadTiling);
  if (x.sizes.back() < 1) Invalid("x has no experts", kBadTiling);
  const std::vector<int64_t> rows(x.sizes.begin(), x.sizes.end() - 1);
  if (call.Has(1) && (call.In(1).dtype != DType::kBool || call.In(1).sizes != rows))
    Invalid("finished is " + std::string(DTypeName(call.In(1).dtype)) + " " + Sizes(call.In(1).sizes) + ", not bool " +
                Sizes(rows),
            kBadTiling);
  if (k < 1 || k > x.sizes.back() || k > 1024)
    Invalid("k " + std::to_string(k) + " is not in 1 to the experts and 1024", kBadTiling);
  if (renorm != 0 && renorm != 1) Invalid("renorm is not 0 or 1", kBadTiling);
  auto kept = x.sizes;
  kept.back() = k;
  call.OutExactly(x.dtype, kept);
  call.OutExactly(DType::kInt32, kept);
  if (writes_softmax) {
    call.OutExactly(DType::kFloat, x.sizes);
  } else {  // what the caller gives in its place is not touched
    call.Out(DType::kFloat, call.outputs.size() > 2 ? call.outputs[2].view.sizes : std::vector<int64_t>{0});
  }
  call.work = [kept, k, renorm, writes_softmax](const Views &in, Views &out) {
    auto scores = Values<float>(in[0]);
    const View all = Over(scores, in[0].sizes);
    if (renorm == 0) Softmax(all, -1, all);
    if (writes_softmax) Copy(all, out[2]);
    std::vector<float> best(static_cast<size_t>(Count(kept)));
    std::vector<int64_t> experts(best.size());
    TopK(all, -1, true, Over(best, kept), Over(experts, kept));
    if (renorm == 1) Softmax(Over(best, kept), -1, Over(best, kept));
    Copy(Over(best, kept), out[0]);
    if (Optional(in, 1).given()) {
      const auto finished = Values<int64_t>(in[1]);
      for (size_t i = 0; i < experts.size(); ++i)
        if (finished[i / static_cast<size_t>(k)] != 0) experts[i] = in[0].sizes.back();
    }
    Copy(Over(experts, kept), out[1]);
  };
}

}  // namespace host_cann::operations
