// MoeGatingTopKSoftmaxV2: the aclnn call, the node, and what both do.
#include "aclnn_operations.h"
#include "indexing.h"
#include "nodes.h"
#include "ops.h"

namespace host_cann {
namespace {

struct SoftmaxTopK {
  int64_t k = 1, renorm = 0;
  bool output_softmax = false;

  bool WritesSoftmax() const { return output_softmax && renorm == 0; }
};

bool IsLogits(DType dtype) { return dtype == DType::kFloat || dtype == DType::kHalf || dtype == DType::kBFloat16; }

// Why CANN would refuse the call (561002), or an empty text.
std::string Refusal(const SoftmaxTopK &g, const View &x, const View *finished) {
  if (x.sizes.size() != 2 && x.sizes.size() != 3) return "x is " + Sizes(x.sizes) + ", not 2 or 3 dimensions";
  if (x.sizes.back() < 1) return "x has no experts";
  const std::vector<int64_t> rows(x.sizes.begin(), x.sizes.end() - 1);
  if (finished != nullptr && (finished->dtype != DType::kBool || finished->sizes != rows))
    return "finished is " + Described(*finished) + ", not bool " + Sizes(rows);
  if (g.k < 1 || g.k > x.sizes.back() || g.k > 1024)
    return "k " + std::to_string(g.k) + " is not in 1 to the experts and 1024";
  if (g.renorm != 0 && g.renorm != 1) return "renorm is not 0 or 1";
  return "";
}

std::vector<int64_t> Kept(const SoftmaxTopK &g, const View &x) {
  auto sizes = x.sizes;
  sizes.back() = g.k;
  return sizes;
}

std::vector<int64_t> SoftmaxSizes(const SoftmaxTopK &g, const View &x) {
  return g.WritesSoftmax() ? x.sizes : std::vector<int64_t>{0};
}

Work Runs(const SoftmaxTopK &g) {
  return [g](const Views &in, const Views &out) {
    const View &x = *in[0];
    auto scores = Values<float>(x, x.sizes);
    const View rows = Over(&scores, x.sizes);
    if (g.renorm == 0) Softmax(rows, -1, rows);
    if (g.WritesSoftmax()) Copy(rows, *out[2]);
    const auto sizes = Kept(g, x);
    std::vector<float> best(static_cast<size_t>(Count(sizes)));
    std::vector<int64_t> experts(best.size());
    const View weights = Over(&best, sizes);
    TopK(rows, -1, true, weights, Over(&experts, sizes));
    if (g.renorm == 1) Softmax(weights, -1, weights);
    Copy(weights, *out[0]);
    if (in.size() > 1 && in[1]) {
      const auto finished = Values<int64_t>(*in[1], in[1]->sizes);
      for (size_t i = 0; i < experts.size(); ++i)
        if (finished[i / static_cast<size_t>(g.k)] != 0) experts[i] = x.sizes.back();
    }
    return Copy(Over(&experts, sizes), *out[1]), 0;
  };
}

}  // namespace

int aclnn::MoeGatingTopKSoftmaxV2(Call &call, In x, In finished, int64_t k, int64_t renorm, bool output_softmax, Out y,
                                  Out expert_idx, Out softmax_result) {
  if (x == nullptr || y == nullptr || expert_idx == nullptr) return call.NullPointer("x, yOut or expertIdxOut");
  const SoftmaxTopK gating{k, renorm, output_softmax};
  if (gating.WritesSoftmax() && softmax_result == nullptr) return call.NullPointer("softmaxResultOutOptional");
  if (!IsLogits(x->view.dtype)) return call.Invalid(kBadParam, std::string("x is ") + DTypeName(x->view.dtype));
  if (y->view.dtype != x->view.dtype || expert_idx->view.dtype != DType::kInt32)
    return call.Invalid(kBadParam, "yOut must have x's dtype, expertIdxOut int32");
  const auto refusal = Refusal(gating, x->view, finished == nullptr ? nullptr : &finished->view);
  if (!refusal.empty()) return call.Invalid(kBadTiling, refusal);
  const auto kept = Kept(gating, x->view);
  const bool softmax_fits = !gating.WritesSoftmax() || (softmax_result->view.dtype == DType::kFloat &&
                                                        softmax_result->view.sizes == x->view.sizes);
  if (y->view.sizes != kept || expert_idx->view.sizes != kept || !softmax_fits)
    return call.Invalid(kBadTiling, "the outputs are not those of x and k");
  call.In("x", x);
  call.In("finished", finished);
  call.Out("y", y);
  call.Out("expert_idx", expert_idx);
  call.Out("softmax_result", softmax_result);
  call.Attribute("k", k);
  call.Attribute("renorm", renorm);
  call.Attribute("output_softmax_result_flag", output_softmax);
  call.run = Runs(gating);
  return 0;
}

int nodes::MoeGatingTopKSoftmaxV2(NodeCall &call) {
  const SoftmaxTopK gating{call.node.Integer("k"), call.node.Integer("renorm"),
                           call.node.Integer("output_softmax_result_flag") != 0};
  const View &x = call.In(0);
  if (!IsLogits(x.dtype)) return call.Invalid(std::string("x is ") + DTypeName(x.dtype));
  const auto refusal = Refusal(gating, x, call.Has(1) ? &call.In(1) : nullptr);
  if (!refusal.empty()) return call.Invalid(refusal);
  call.Out(x.dtype, Kept(gating, x));
  call.Out(DType::kInt32, Kept(gating, x));
  call.Out(DType::kFloat, SoftmaxSizes(gating, x));
  call.run = Runs(gating);
  return 0;
}

}  // namespace host_cann
