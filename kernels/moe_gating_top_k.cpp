// One row at a time: load -> scores -> choice (bias, groups) -> the k best -> weights.
#include "moe_gating_top_k.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <thread>
#include <vector>

#include "arguments.h"
#include "half.h"
#include "scores.h"
#include "select.h"

namespace moe_gating {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

// Less than this many logits are not worth a thread of their own.
constexpr int64_t logits_per_thread = 16384;

// About 50 kB, on the stack of the thread that uses it.
struct Scratch {
  float bias[MOE_GATING_MAX_EXPERTS];
  float scores[MOE_GATING_MAX_EXPERTS];
  float choice[MOE_GATING_MAX_EXPERTS];
  float group_scores[MOE_GATING_MAX_EXPERTS];
  bool kept[MOE_GATING_MAX_EXPERTS];
  Ranked ranked[MOE_GATING_MAX_EXPERTS];
};

template <class Type>
void load(const typename Type::Storage *source, int64_t stride, int64_t count, float *destination) {
  if (stride == 1)  // the compiler vectorizes this one
    for (int64_t i = 0; i < count; ++i) destination[i] = Type::load(source[i]);
  else
    for (int64_t i = 0; i < count; ++i) destination[i] = Type::load(source[i * stride]);
}

float group_score(const float *choice, int64_t size, int64_t group_select_mode) {
  float best = minus_infinity, second = minus_infinity;
  for (int64_t i = 0; i < size; ++i) {
    second = std::max(second, std::min(choice[i], best));
    best = std::max(best, choice[i]);
  }
  return group_select_mode == 0 || size == 1 ? best : best + second;
}

// Masked experts get -inf and stay candidates: with a bias of -inf they tie, and then the lower index wins.
void mask_groups(const moe_gating_top_k_args &args, float *choice, Scratch &scratch) {
  const int64_t size = args.experts / args.group_count;
  for (int64_t group = 0; group < args.group_count; ++group)
    scratch.group_scores[group] = group_score(choice + group * size, size, args.group_select_mode);
  select_top(scratch.group_scores, args.group_count, args.k_group, scratch.ranked);
  std::fill_n(scratch.kept, args.group_count, false);
  for (int64_t i = 0; i < args.k_group; ++i) scratch.kept[index_of(scratch.ranked[i])] = true;
  for (int64_t group = 0; group < args.group_count; ++group)
    if (!scratch.kept[group]) std::fill_n(choice + group * size, size, minus_infinity);
}

// The values that decide which experts win.
const float *choose_by(const moe_gating_top_k_args &args, const float *scores, Scratch &scratch) {
  const bool masks = args.k_group < args.group_count;
  if (args.bias == nullptr && !masks) return scores;
  if (args.bias == nullptr)
    std::copy_n(scores, args.experts, scratch.choice);
  else
    for (int64_t i = 0; i < args.experts; ++i) scratch.choice[i] = scores[i] + scratch.bias[i];
  if (masks) mask_groups(args, scratch.choice, scratch);
  return scratch.choice;
}

template <class Type>
void write_weights(const moe_gating_top_k_args &args, const float *scores, const int32_t *expert_idx,
                   typename Type::Storage *y) {
  float weights[MOE_GATING_MAX_EXPERTS];
  for (int64_t i = 0; i < args.k; ++i) weights[i] = scores[expert_idx[i]];
  if (args.norm_type == 1) {
    const float divisor = sum(weights, args.k) + args.eps;
    for (int64_t i = 0; i < args.k; ++i) weights[i] /= divisor;
  }
  for (int64_t i = 0; i < args.k; ++i) y[i] = Type::store(weights[i] * args.routed_scaling_factor);
}

template <class Type>
void run_row(const moe_gating_top_k_args &args, int64_t row, Scratch &scratch) {
  using Storage = typename Type::Storage;
  float *scores = args.norm_out ? args.norm_out + row * args.experts : scratch.scores;
  load<Type>(static_cast<const Storage *>(args.x) + row * args.x_row_stride, args.x_column_stride, args.experts,
             scores);
  if (args.norm_type == 0)
    softmax(scores, args.experts);
  else
    sigmoid(scores, args.experts);

  select_top(choose_by(args, scores, scratch), args.experts, args.k, scratch.ranked);
  int32_t *expert_idx = args.expert_idx + row * args.k;
  std::transform(scratch.ranked, scratch.ranked + args.k, expert_idx, index_of);
  write_weights<Type>(args, scores, expert_idx, static_cast<Storage *>(args.y) + row * args.k);
}

template <class Type>
void run_rows_as(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  Scratch scratch;
  if (args.bias != nullptr)
    load<Type>(static_cast<const typename Type::Storage *>(args.bias), args.bias_stride, args.experts, scratch.bias);
  for (int64_t row = first; row < last; ++row) run_row<Type>(args, row, scratch);
}

void run_rows(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  switch (args.dtype) {
    case MOE_GATING_FLOAT32: return run_rows_as<Float32>(args, first, last);
    case MOE_GATING_FLOAT16: return run_rows_as<Float16>(args, first, last);
    default: return run_rows_as<BFloat16>(args, first, last);
  }
}

// Contiguous blocks of rows; the calling thread runs the last block, and whatever no thread could be had for.
void run_blocks(const moe_gating_top_k_args &args, int64_t blocks) {
  const int64_t rows = (args.tokens + blocks - 1) / blocks;
  int64_t first = 0;
  std::vector<std::thread> workers;
  try {
    workers.reserve(static_cast<size_t>(blocks));
    for (; first + rows < args.tokens; first += rows)
      workers.emplace_back([&args, first, rows] { run_rows(args, first, first + rows); });
  } catch (const std::exception &) {  // out of threads or memory
  }
  run_rows(args, first, args.tokens);
  for (auto &worker : workers) worker.join();
}

}  // namespace
}  // namespace moe_gating

int moe_gating_top_k(const moe_gating_top_k_args *args, int threads) {
  const moe_gating_code code = moe_gating::check(args);
  if (code != MOE_GATING_OK || args->tokens == 0) return code;
  const int64_t worthwhile = args->tokens * args->experts / moe_gating::logits_per_thread;
  const int64_t blocks = std::min<int64_t>({threads, worthwhile, args->tokens});
  if (blocks > 1)
    moe_gating::run_blocks(*args, blocks);
  else
    moe_gating::run_rows(*args, 0, args->tokens);
  return MOE_GATING_OK;
}

const char *moe_gating_top_k_error(int code) { return moe_gating::describe(code); }
