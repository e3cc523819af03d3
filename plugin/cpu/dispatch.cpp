// The operator's CPU kernel for torch's dispatcher.
#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "../../kernels/moe_gating_top_k.h"
#include "shim.h"

namespace {

using shim::demand;
using shim::empty;
using shim::Tensor;
using shim::torch;
using shim::Word;

// What the constraints look at; dispatch.py has the same structure.
struct Facts {
  const int64_t *x_sizes, *bias_sizes, *input_ids_sizes, *tid2eid_sizes;
  int64_t x_dim, bias_dim, input_ids_dim, tid2eid_dim;  // -1 for what is not there
  int32_t x_dtype, bias_dtype, input_ids_dtype, tid2eid_dtype;
  int64_t k, k_group, group_count, group_select_mode, renorm, norm_type;
};

// Python's verdict: 0, or 1 for a broken constraint, or 2 for what is not implemented, with the text of the error.
using Judge = int (*)(const Facts *facts, char *text, size_t room);
Judge judge;

// What passed before need not be judged again: all that the constraints read, which is not the number of tokens.
class Passed {
 public:
  using Key = std::array<int64_t, 13>;

  bool has(const Key &key) const { return std::find(keys_.begin(), keys_.end(), key) != keys_.end(); }
  void add(const Key &key) { keys_[next_++ % keys_.size()] = key; }

 private:
  std::array<Key, 32> keys_{};  // no call has a key of zeros: it would have no experts
  size_t next_ = 0;
};

void check(const Facts &facts) {
  thread_local Passed passed;
  const bool unrouted = facts.input_ids_dim < 0 && facts.tid2eid_dim < 0;
  const bool routed = facts.input_ids_dim == 1 && facts.tid2eid_dim == 2 && facts.x_dim == 2 &&
                      facts.input_ids_sizes[0] == facts.x_sizes[0];
  const bool regular = facts.x_dim == 2 && facts.bias_dim <= 1 && (unrouted || routed);
  const int64_t biases = facts.bias_dim == 1 ? facts.bias_sizes[0] : facts.bias_dim;
  const Passed::Key key = {regular ? facts.x_sizes[1] : 0,
                           facts.x_dtype,
                           biases,
                           facts.bias_dtype,
                           facts.k,
                           facts.k_group,
                           facts.group_count,
                           facts.group_select_mode,
                           facts.renorm,
                           facts.norm_type,
                           routed ? facts.tid2eid_sizes[1] : -1,
                           facts.input_ids_dtype,
                           facts.tid2eid_dtype};
  if (regular && passed.has(key)) return;
  char text[1024] = "";
  const int verdict = judge(&facts, text, sizeof text);
  if (verdict == 1) throw std::invalid_argument(text);  // which Python sees as a ValueError
  if (verdict != 0) throw std::runtime_error(text);
  passed.add(key);
}

// What hash routing reads; call it when the shapes have been checked.
void route(const Tensor &input_ids, const Tensor &tid2eid, moe_gating_top_k_args &args) {
  args.input_ids = input_ids.data();
  args.input_ids_stride = input_ids.strides()[0];
  args.input_ids_int64 = input_ids.dtype() == torch.int64;
  args.tid2eid = tid2eid.data();
  args.tid2eid_row_stride = tid2eid.strides()[0];
  args.tid2eid_column_stride = tid2eid.strides()[1];
  args.tid2eid_int64 = tid2eid.dtype() == torch.int64;
  args.vocabulary = tid2eid.sizes()[0];
  char text[200];
  if (moe_gating_top_k_stray(&args, 0, args.tokens, text, sizeof text) != MOE_GATING_OK)
    throw std::invalid_argument(std::string(text) + " (C19)");
}

void demand_kernel(int code) {
  if (code == MOE_GATING_BAD_VECTOR) throw std::invalid_argument(moe_gating_top_k_error(code));
  if (code != MOE_GATING_OK) throw std::runtime_error(moe_gating_top_k_error(code));
}

void run(const moe_gating_top_k_args &args) {
  const int64_t grain = MOE_GATING_LOGITS_PER_THREAD / args.experts;
  const auto rows = [](int64_t first, int64_t last, void *context) {
    moe_gating_top_k_rows(static_cast<const moe_gating_top_k_args *>(context), first, last);
  };
  demand_kernel(moe_gating_top_k_rows(&args, 0, 0));
  if (args.tokens <= grain) {
    rows(0, args.tokens, const_cast<moe_gating_top_k_args *>(&args));
  } else if (torch.parallel_for == nullptr) {  // the kernel's own threads, as many as torch would use
    demand_kernel(moe_gating_top_k(&args, torch.max_threads == nullptr ? 1 : torch.max_threads()));
  } else {
    demand(torch.parallel_for(0, args.tokens, grain, rows, const_cast<moe_gating_top_k_args *>(&args)), "parallel_for");
  }
}

void npu_moe_gating_top_k(Word *stack, Word inputs, Word) {
  shim::Arguments arguments(stack);
  const Tensor x = arguments.tensor();
  moe_gating_top_k_args args{};
  args.k = arguments.integer();
  const Tensor bias = arguments.optional_tensor();
  const bool knows_hash_routing = inputs == 13;
  const Tensor input_ids = knows_hash_routing ? arguments.optional_tensor() : Tensor();
  const Tensor tid2eid = knows_hash_routing ? arguments.optional_tensor() : Tensor();
  args.k_group = arguments.integer();
  args.group_count = arguments.integer();
  args.group_select_mode = arguments.integer();
  args.renorm = arguments.integer();
  args.norm_type = arguments.integer();
  const bool out_flag = arguments.boolean();
  args.routed_scaling_factor = static_cast<float>(arguments.number());
  args.eps = static_cast<float>(arguments.number());

  Facts facts{x.sizes(),
              nullptr,
              nullptr,
              nullptr,
              x.dim(),
              -1,
              -1,
              -1,
              x.dtype(),
              0,
              0,
              0,
              args.k,
              args.k_group,
              args.group_count,
              args.group_select_mode,
              args.renorm,
              args.norm_type};
  if (bias) {
    facts.bias_sizes = bias.sizes();
    facts.bias_dim = bias.dim();
    facts.bias_dtype = bias.dtype();
    args.bias = bias.data();
    args.bias_stride = facts.bias_dim == 1 ? bias.strides()[0] : 0;
  }
  if (input_ids) {
    facts.input_ids_sizes = input_ids.sizes();
    facts.input_ids_dim = input_ids.dim();
    facts.input_ids_dtype = input_ids.dtype();
  }
  if (tid2eid) {
    facts.tid2eid_sizes = tid2eid.sizes();
    facts.tid2eid_dim = tid2eid.dim();
    facts.tid2eid_dtype = tid2eid.dtype();
  }
  check(facts);
  args.tokens = facts.x_sizes[0];
  args.experts = facts.x_sizes[1];
  args.x = x.data();
  args.x_row_stride = x.strides()[0];
  args.x_column_stride = x.strides()[1];
  args.dtype = facts.x_dtype == torch.float32   ? MOE_GATING_FLOAT32
               : facts.x_dtype == torch.float16 ? MOE_GATING_FLOAT16
                                                : MOE_GATING_BFLOAT16;
  if (input_ids) route(input_ids, tid2eid, args);
  Tensor y = empty(args.tokens, args.k, facts.x_dtype);
  Tensor expert_idx = empty(args.tokens, args.k, torch.int32);
  Tensor norm_out = empty(args.tokens, args.experts, torch.float32);
  args.y = y.data();
  args.expert_idx = static_cast<int32_t *>(expert_idx.data());
  args.norm_out = out_flag ? static_cast<float *>(norm_out.data()) : nullptr;
  run(args);
  stack[0] = reinterpret_cast<Word>(y.release());
  stack[1] = reinterpret_cast<Word>(expert_idx.release());
  stack[2] = reinterpret_cast<Word>(norm_out.release());
}

}  // namespace

// Registers the kernel for CPU tensors with the torch that is loaded. Returns 0, or 1 when this torch lacks some of the
// interface, and then nothing has happened.
extern "C" MOE_GATING_EXPORT int moe_gating_register_cpu(const char *name_space, const char *name, Judge python) {
  if (!shim::load()) return 1;
  judge = python;
  void *library = nullptr;  // lives as long as the process, as the kernel does
  if (torch.library_init_impl(name_space, "CPU", "plugin/cpu/dispatch.cpp", 0, &library) != 0) return 1;
  return torch.library_impl(library, name, npu_moe_gating_top_k) == 0 ? 0 : 1;
}
