// MoeGatingTopK: what CANN refuses, and the kernel of this project for the rest.
#include "../../kernels/moe_gating_top_k.h"

#include <algorithm>
#include <thread>

#include "operations.h"
#include "release.h"

namespace host_cann::operations {
namespace {

// As CANN's tilings say it.
[[noreturn]] void Bad(const char *parameter, int64_t value, const std::string &expected) {
  Invalid(std::string(parameter) + " is " + std::to_string(value) + ", it must be " + expected + " (" + Present() + ")",
          kBadTiling);
}

// What the tiling of the CANN that the stand-in stands for refuses.
void CheckAttributes(const moe_gating_top_k_args &g) {
  const int release = CurrentRelease().number;
  const bool is_950 = CurrentSoc().is_950;
  if (is_950 && release < 805) Invalid("there is no kernel for this NPU in " + Present(), kBadTiling);
  if (g.experts < 1 || g.experts > MOE_GATING_MAX_EXPERTS) Bad("the expert count", g.experts, "between 1 and 2048");
  if (g.k < 1) Bad("k", g.k, "greater than 0");
  if (g.group_count < 1 || g.experts % g.group_count != 0)
    Bad("group_count", g.group_count, "a divisor of the " + std::to_string(g.experts) + " experts");
  if (g.k_group < 1 || g.k_group > g.group_count)
    Bad("k_group", g.k_group, "between 1 and group_count " + std::to_string(g.group_count));
  const int64_t group = g.experts / g.group_count, aligned = (group + 31) / 32 * 32 * g.group_count;
  const bool one_group = g.k_group == g.group_count || g.group_count == g.experts;  // in effect
  if (g.k > g.k_group * group)
    Bad("k", g.k, "at most the experts of the kept groups, " + std::to_string(g.k_group * group));
  if (release < 805 && group <= 2) Bad("the expert count of a group", group, "greater than 2");
  if ((release < 805 || !one_group) && aligned > MOE_GATING_MAX_EXPERTS)
    Bad("group_count times the aligned expert count of a group", aligned, "at most 2048");
  if (g.group_select_mode != 0 && g.group_select_mode != 1) Bad("group_select_mode", g.group_select_mode, "0 or 1");
  if (g.group_select_mode == 1 && (is_950 && one_group ? g.experts : group) < 2)
    Bad("the expert count of a group", group, "greater than 1");
  const bool renorm = release >= (is_950 ? 901 : 900), softplus = is_950 && release >= 901;
  if (g.renorm != 0 && !(renorm && g.renorm == 1)) Bad("renorm", g.renorm, renorm ? "0 or 1" : "0");
  if (g.norm_type < 0 || g.norm_type > (softplus ? 2 : 1))
    Bad("norm_type", g.norm_type, softplus ? "0, 1 or 2" : "0 or 1");
}

// Of hash routing beyond the rest.
void CheckRouting(const moe_gating_top_k_args &g, const View &ids, const View &table) {
  if (!HasHashRouting()) Invalid("there is no input_ids and tid2eid in " + Present(), kBadTiling);
  for (const View &integers : {ids, table}) {
    if (integers.dtype != DType::kInt32 && integers.dtype != DType::kInt64)
      Invalid("input_ids and tid2eid must be int32 or int64");
  }
  if (CurrentSoc().is_950 && g.k > 64) Bad("k", g.k, "at most 64 for hash routing");
  if (table.sizes.size() != 2 || table.sizes[1] != g.k)
    Invalid("tid2eid is " + Sizes(table.sizes) + ", not [rows, k]", kBadTiling);
  if (ids.sizes != std::vector<int64_t>{g.tokens})
    Invalid("input_ids is " + Sizes(ids.sizes) + ", not one id per token", kBadTiling);
  if (g.k_group != g.group_count && g.group_count != g.experts)
    Invalid("hash routing with a choice of groups", kBadTiling);
}

void Route(const View &ids, const View &table, moe_gating_top_k_args *args) {
  args->input_ids = ids.data;
  args->input_ids_stride = ids.strides[0];
  args->input_ids_int64 = ids.dtype == DType::kInt64;
  args->tid2eid = table.data;
  args->tid2eid_row_stride = table.strides[0];
  args->tid2eid_column_stride = table.strides[1];
  args->tid2eid_int64 = table.dtype == DType::kInt64;
  args->vocabulary = table.sizes[0];
  char text[200];
  if (moe_gating_top_k_stray(args, 0, args->tokens, text, sizeof text) != 0) Invalid(text, kIndexOutside);
}

}  // namespace

bool HasHashRouting() { return CurrentRelease().number >= 902; }

// Inputs x, bias, input_ids, tid2eid.
void MoeGatingTopK(Call &call) {
  const View &x = call.In(0), bias = call.Has(1) ? call.In(1) : View{};
  DemandLogits("x", x.dtype);
  if (bias.given() && bias.dtype != x.dtype)
    Invalid(std::string("bias is ") + DTypeName(bias.dtype) + ", x's dtype is " + DTypeName(x.dtype));
  if (x.sizes.size() != 2) Invalid("x has " + std::to_string(x.sizes.size()) + " dimensions, not 2", kBadTiling);
  moe_gating_top_k_args args{};
  args.dtype = x.dtype == DType::kFloat  ? MOE_GATING_FLOAT32
               : x.dtype == DType::kHalf ? MOE_GATING_FLOAT16
                                         : MOE_GATING_BFLOAT16;
  args.tokens = x.sizes[0];
  args.experts = x.sizes[1];
  args.k = call.Integer("k");
  args.k_group = call.Integer("k_group", 1);
  args.group_count = call.Integer("group_count", 1);
  args.group_select_mode = call.Integer("group_select_mode");
  args.renorm = call.Integer("renorm");
  args.norm_type = call.Integer("norm_type");
  args.routed_scaling_factor = static_cast<float>(call.Real("routed_scaling_factor", 1));
  args.eps = static_cast<float>(call.Real("eps", 1e-20F));
  CheckAttributes(args);
  if (bias.given() && bias.sizes != std::vector<int64_t>{args.experts})
    Invalid("bias is " + Sizes(bias.sizes) + ", not one value per expert", kBadTiling);
  if (call.Has(2) && call.Has(3)) CheckRouting(args, call.In(2), call.In(3));
  for (const auto &output : call.outputs) DemandContiguous(output);
  call.OutExactly(x.dtype, {args.tokens, args.k});
  call.OutExactly(DType::kInt32, {args.tokens, args.k});
  call.OutExactly(DType::kFloat, x.sizes);
  call.work = [given = args, out_flag = call.Integer("out_flag") != 0](const Views &in, Views &out) {
    auto args = given;  // a captured call may run on two streams at once
    args.x = in[0].data;
    args.x_row_stride = in[0].strides[0];
    args.x_column_stride = in[0].strides[1];
    if (Optional(in, 1).given()) {
      args.bias = in[1].data;
      args.bias_stride = in[1].strides[0];
    }
    const View ids = Optional(in, 2), table = Optional(in, 3);
    if (ids.given() && table.given()) Route(ids, table, &args);
    args.y = out[0].data;
    args.expert_idx = reinterpret_cast<int32_t *>(out[1].data);
    args.norm_out = out_flag ? reinterpret_cast<float *>(out[2].data) : nullptr;
    const int code = moe_gating_top_k(&args, static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
    if (code != 0) Invalid(moe_gating_top_k_error(code), kInternal);
  };
}

}  // namespace host_cann::operations
