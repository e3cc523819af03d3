// The steps, over blocks of rows: each step runs through the rows of a block before the next begins, so that the
// processor works on several rows at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "groups.h"
#include "moe_gating_top_k.h"
#include "routing.h"
#include "scores.h"
#include "select.h"

namespace moe_gating {
namespace {

constexpr int64_t rows_per_block = 8;
// 16 kB of scores, and as much of their sums with the bias.
constexpr int64_t experts_per_block = 2 * MOE_GATING_MAX_EXPERTS;
static_assert(few >= MOE_GATING_MAX_GROUPS);

// From one row of scratch to the next: a whole number of vectors of any width.
inline int64_t stride_of(int64_t experts) { return (experts + slack - 1) / slack * slack; }

// About 300 kB, on the stack of the thread that uses it, of which a call touches little more than it needs.
struct Scratch {
  alignas(64) float bias[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float scores[experts_per_block + slack];
  alignas(64) float choice[experts_per_block + slack];
  alignas(64) float group_scores[rows_per_block][MOE_GATING_MAX_GROUPS + slack];
  alignas(64) int32_t group_ranks[rows_per_block][MOE_GATING_MAX_GROUPS + slack];
  alignas(64) int32_t kept[rows_per_block][MOE_GATING_MAX_GROUPS + 1];
  Candidates candidates[rows_per_block];
  alignas(64) int32_t chosen[rows_per_block][MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float weights[rows_per_block][MOE_GATING_MAX_EXPERTS + slack];
};

inline float sum(const float *values, int64_t count) {
  Vector::Sum sum;
  for (int64_t i = 0; i < count; i += width)
    sum.add(Vector::head(Vector::load(Float32(), values + i), count - i, Vector::set(0.0f)));
  return static_cast<float>(sum.total());
}

// A block of rows of x: float32 in scratch if their experts are not neighbours in memory.
template <class Type>
class Block {
 public:
  using Storage = typename Type::Storage;

  Block(const moe_gating_top_k_args &args, Scratch &scratch, int64_t first, int64_t rows, int64_t last)
      : args_(args),
        scratch_(scratch),
        first_(first),
        rows_(rows),
        last_(last),
        stride_(stride_of(args.experts)),
        chooses_by_scores_(args.bias == nullptr) {}

  void run() {
    if (args_.x_column_stride == 1) {
      score([this](int64_t row) {
        return Logits<Type>{source(row), args_.experts, rows_per_block * args_.x_row_stride};
      });
    } else {
      gather();
      score([this](int64_t row) { return Logits<Float32>{scores(row), args_.experts, 0}; });
    }
    if (args_.input_ids != nullptr) {
      for (int64_t row = 0; row < rows_; ++row) take_experts(args_, first_ + row, scratch_.chosen[row]);
    } else {
      keep();
      choose();
    }
    weigh();
  }

 private:
  const Storage *source(int64_t row) const {
    return static_cast<const Storage *>(args_.x) + (first_ + row) * args_.x_row_stride;
  }
  float *scores(int64_t row) const { return scratch_.scores + row * stride_; }
  // What decides: the scores, or in a place of their own their sums with the bias, or what is left of either.
  float *choice(int64_t row) const { return (chooses_by_scores_ ? scratch_.scores : scratch_.choice) + row * stride_; }

  // Walks through memory along the shorter stride.
  void gather() {
    const auto copy = [this](int64_t row, int64_t expert) {
      scores(row)[expert] = Type::load(source(row)[expert * args_.x_column_stride]);
    };
    if (std::abs(args_.x_row_stride) < std::abs(args_.x_column_stride)) {
      for (int64_t expert = 0; expert < args_.experts; ++expert)
        for (int64_t row = 0; row < rows_; ++row) copy(row, expert);
    } else {
      for (int64_t row = 0; row < rows_; ++row)
        for (int64_t expert = 0; expert < args_.experts; ++expert) copy(row, expert);
    }
  }

  template <class LogitsOf>
  void score(LogitsOf logits_of) {
    if (args_.bias == nullptr)
      score(logits_of, [this](int64_t row) { return Scores{scores(row)}; });
    else
      score(logits_of, [this](int64_t row) { return BiasedScores{scores(row), scratch_.bias, choice(row)}; });
    if (args_.norm_out != nullptr)
      for (int64_t row = 0; row < rows_; ++row)
        std::memcpy(args_.norm_out + (first_ + row) * args_.experts, scores(row), sizeof(float) * args_.experts);
  }

  template <class LogitsOf, class DestinationOf>
  void score(LogitsOf logits_of, DestinationOf destination_of) {
    if (args_.norm_type == 1) {
      for (int64_t row = 0; row < rows_; ++row) sigmoid_row(logits_of(row), destination_of(row));
      return;
    }
    float maxima[rows_per_block];
    double sums[rows_per_block];
    for (int64_t row = 0; row < rows_; ++row) maxima[row] = maximum(logits_of(row));
    for (int64_t row = 0; row < rows_; ++row) sums[row] = exponentials(logits_of(row), maxima[row], scores(row));
    for (int64_t row = 0; row < rows_; ++row) divide_row(args_.experts, sums[row], destination_of(row));
  }

  void keep() {
    const int64_t count = args_.group_count, size = args_.experts / count;
    if (args_.k_group == count) return;
    auto &scratch = scratch_;
    for (int64_t row = 0; row < rows_; ++row)
      score_groups(choice(row), count, size, args_.group_select_mode == 1, scratch.group_scores[row]);
    for (int64_t row = 0; row < rows_; ++row) rank(scratch.group_scores[row], count, scratch.group_ranks[row]);
    ranged_ = size >= width;
    for (int64_t row = 0; row < rows_; ++row) {
      const int32_t *ranks = scratch.group_ranks[row];
      if (ranged_)
        keep_groups(ranks, count, size, args_.k_group, scratch.kept[row]);
      else
        mask_groups(ranks, count, size, args_.k_group, choice(row), scratch.choice + row * stride_);
    }
    if (!ranged_) chooses_by_scores_ = false;
  }

  Ranges ranges(int64_t row) const {
    static constexpr int32_t zero = 0;
    if (!ranged_) return {1, args_.experts, &zero};
    return {args_.k_group, args_.experts / args_.group_count, scratch_.kept[row]};
  }

  // Most rows have from k to `usual` candidates, which are ordered without a branch. The others take select().
  void choose() {
    auto &scratch = scratch_;
    float bounds[rows_per_block];
    for (int64_t row = 0; row < rows_; ++row) bounds[row] = quick_bound(choice(row), ranges(row), args_.k);
    if (args_.k <= usual) {
      for (int64_t row = 0; row < rows_; ++row)
        append<false>(choice(row), ranges(row), bounds[row] == -infinity ? nan : bounds[row], scratch.candidates[row]);
      for (int64_t row = 0; row < rows_; ++row) order_usual(row);
    }
    for (int64_t row = 0; row < rows_; ++row)
      if (args_.k > usual || scratch.candidates[row].count > usual || bounds[row] == -infinity)
        select(choice(row), args_.experts, ranges(row), args_.k, bounds[row], scratch.candidates[row],
               scratch.chosen[row]);
  }

  void order_usual(int64_t row) {
    Candidates &candidates = scratch_.candidates[row];
    alignas(64) int32_t ranks[usual];
    const int64_t count = std::min(candidates.count, usual);
    for (int64_t i = 0; i < usual; i += width)
      Vector::store(candidates.values + i,
                    Vector::head(Vector::load(Float32(), candidates.values + i), count - i, Vector::set(nan)));
    rank(candidates.values, usual, ranks);
    for (int64_t i = 0; i < usual; ++i) scratch_.chosen[row][ranks[i]] = candidates.experts[i];
  }

  void weigh() {
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t i = 0; i < args_.k; ++i) scratch_.weights[row][i] = scores(row)[scratch_.chosen[row][i]];
    for (int64_t row = 0; row < rows_; ++row) write(row, scratch_.weights[row]);
  }

  void write(int64_t row, const float *weights) {
    const int64_t begin = (first_ + row) * args_.k;
    int32_t *expert_idx = args_.expert_idx + begin;
    auto *y = static_cast<Storage *>(args_.y) + begin;
    const F divisor = Vector::set(args_.norm_type == 1 ? sum(weights, args_.k) + args_.eps : 1.0f);
    const F factor = Vector::set(args_.routed_scaling_factor);
    // A whole vector may be written where the rest of it belongs to rows that are still to come.
    const int64_t whole = std::min(last_ * args_.k - begin - width + 1, args_.k);
    for (int64_t i = 0; i < args_.k; i += width) {
      const F weight = Vector::mul(Vector::div(Vector::load(Float32(), weights + i), divisor), factor);
      if (i < whole) {
        Vector::store(Type(), y + i, weight);
        Vector::store(expert_idx + i, Vector::load(scratch_.chosen[row] + i));
      } else {
        Storage rest[width];
        Vector::store(Type(), rest, weight);
        std::copy_n(rest, std::min(width, args_.k - i), y + i);
        std::copy_n(scratch_.chosen[row] + i, std::min(width, args_.k - i), expert_idx + i);
      }
    }
  }

  const moe_gating_top_k_args &args_;
  Scratch &scratch_;
  int64_t first_, rows_, last_, stride_;
  bool chooses_by_scores_, ranged_ = false;
};

template <class Type>
void run_rows_of(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  Scratch scratch;
  const auto *bias = static_cast<const typename Type::Storage *>(args.bias);
  if (bias != nullptr)
    for (int64_t i = 0; i < args.experts; ++i) scratch.bias[i] = Type::load(bias[i * args.bias_stride]);
  const int64_t step = std::min(rows_per_block, std::max<int64_t>(1, experts_per_block / stride_of(args.experts)));
  for (int64_t row = first; row < last; row += step)
    Block<Type>(args, scratch, row, std::min(step, last - row), last).run();
}

inline void run_rows(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  switch (args.dtype) {
    case MOE_GATING_FLOAT32: return run_rows_of<Float32>(args, first, last);
    case MOE_GATING_FLOAT16: return run_rows_of<Float16>(args, first, last);
    default: return run_rows_of<BFloat16>(args, first, last);
  }
}

}  // namespace
}  // namespace moe_gating
