// MoeGatingTopKSoftmax and its second version: a softmax and a top-k, in either order.
#include "operations.h"
#include "release.h"

namespace host_cann::operations {
namespace {

// What both refuse of x, finished and k.
void CheckChoice(const Call &call) {
  const View &x = call.In(0);
  const int64_t k = call.Integer("k");
  DemandLogits("x", x.dtype);
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
}

std::vector<int64_t> SizesOfChosen(const Call &call) {
  auto sizes = call.In(0).sizes;
  sizes.back() = call.Integer("k");
  return sizes;
}

// The best of what decides, and their experts, which a finished row does not have.
void Choose(const View &all, const View &finished, const View &best, std::vector<int64_t> &experts) {
  TopK(all, -1, true, best, Over(experts, best.sizes));
  if (!finished.given()) return;
  const auto ends = Values<int64_t>(finished);
  const size_t k = experts.size() / std::max<size_t>(1, ends.size());
  for (size_t i = 0; i < experts.size(); ++i)
    if (ends[i / k] != 0) experts[i] = all.sizes.back();
}

}  // namespace

// Inputs x and finished, rows of which get the number of experts for an id.
void MoeGatingTopKSoftmax(Call &call) {
  CheckChoice(call);
  const View &x = call.In(0);
  if (CurrentSoc().is_950 && x.sizes.back() > 2048)
    Invalid("x has " + std::to_string(x.sizes.back()) + " experts, more than 2048 (" + Present() + ")", kBadTiling);
  const auto kept = SizesOfChosen(call);
  call.OutExactly(x.dtype, kept);
  call.OutExactly(DType::kInt32, kept);
  call.OutExactly(DType::kInt32, kept);
  call.work = [kept](const Views &in, Views &out) {
    auto scores = Values<float>(in[0]);
    const View all = Over(scores, in[0].sizes);
    Softmax(all, -1, all);
    std::vector<float> best(static_cast<size_t>(Count(kept)));
    std::vector<int64_t> experts(best.size()), places(best.size());
    Choose(all, Optional(in, 1), Over(best, kept), experts);
    const size_t k = static_cast<size_t>(kept.back()), rows = places.size() / k;
    for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i / k + i % k * rows);
    Copy(Over(best, kept), out[0]);
    Copy(Over(experts, kept), out[1]);
    Copy(Over(places, kept), out[2]);
  };
}

void MoeGatingTopKSoftmaxV2(Call &call) {
  CheckChoice(call);
  const View &x = call.In(0);
  const int64_t renorm = call.Integer("renorm");
  const bool writes_softmax = call.Integer("output_softmax_result_flag") != 0 && renorm == 0;
  if (renorm != 0 && renorm != 1) Invalid("renorm is not 0 or 1", kBadTiling);
  const auto kept = SizesOfChosen(call);
  call.OutExactly(x.dtype, kept);
  call.OutExactly(DType::kInt32, kept);
  if (writes_softmax) {
    call.OutExactly(DType::kFloat, x.sizes);
  } else {  // what the caller gives in its place is not touched
    call.Out(DType::kFloat, call.outputs.size() > 2 ? call.outputs[2].view.sizes : std::vector<int64_t>{0});
  }
  call.work = [kept, renorm, writes_softmax](const Views &in, Views &out) {
    auto scores = Values<float>(in[0]);
    const View all = Over(scores, in[0].sizes);
    if (renorm == 0) Softmax(all, -1, all);
    if (writes_softmax) Copy(all, out[2]);
    std::vector<float> best(static_cast<size_t>(Count(kept)));
    std::vector<int64_t> experts(best.size());
    Choose(all, Optional(in, 1), Over(best, kept), experts);
    if (renorm == 1) Softmax(Over(best, kept), -1, Over(best, kept));
    Copy(Over(best, kept), out[0]);
    Copy(Over(experts, kept), out[1]);
  };
}

}  // namespace host_cann::operations
