// The steps, over blocks of rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "block.h"
#include "choose.h"
#include "columns.h"
#include "few.h"
#include "groups.h"
#include "kept.h"
#include "many_groups.h"
#include "memory.h"
#include "moe_gating_top_k.h"
#include "routing.h"
#include "scores.h"
#include "sort.h"

namespace moe_gating {
namespace {

// Of a block of rows of x.
template <class Type>
struct Steps : Block {
  void run() {
    // A softmax takes two walks over a row, other scores one: far enough ahead that what is read has arrived by then.
    const int64_t ahead = args.norm_type == MOE_GATING_SOFTMAX ? 2 * rows_per_block : rows_per_block / 2;
    const auto *x = static_cast<const typename Type::Storage *>(args.x) + first * args.x_row_stride;
    if (args.x_column_stride == 1) {
      score([=](int64_t row) {
        // Behind the last row memory may end, and the processor would look for a page each time.
        const int64_t next = std::min(ahead, last - 1 - (first + row));
        return Logits<Type>{x + row * args.x_row_stride, args.experts, next * args.x_row_stride};
      });
    } else {
      const typename Type::Storage *gathered = gather_x(x);
      score([=](int64_t row) { return Logits<Type>{gathered + row * stride, args.experts, 0}; });
    }
    write_norm_out();
    if (args.input_ids != nullptr)
      route();
    else
      keep_and_choose();
    weigh();
  }

  // The same for gates of few experts.
  void run_few() {
    Few<Type> few(*this);
    few.score();
    const bool chosen = few.choose();
    if (!chosen || args.norm_out != nullptr) few.scores_to_rows();
    write_norm_out();
    if (!chosen) keep_and_choose();
    weigh();
  }

 private:
  MOE_GATING_INLINE void write_norm_out() {
    if (args.norm_out == nullptr) return;
    for (int64_t row = 0; row < rows; ++row)
      write_scores(scores(row), reciprocal(row), args.experts, args.norm_out + (first + row) * args.experts);
  }

  MOE_GATING_INLINE void keep_and_choose() {
    if (args.bias == nullptr)
      keep_and_choose([this](int64_t row) { return Plain{scores(row)}; });
    else
      keep_and_choose([this](int64_t row) { return Biased{scores(row), scratch.bias}; });
  }

  template <class Score, class LogitsOf>
  MOE_GATING_FLATTEN void score_each(LogitsOf logits_of) {
    if (drops_groups())  // of the groups that are kept, the maxima are taken later
      for (int64_t row = 0; row < rows; ++row) score_row<Score>(logits_of(row), scores(row));
    else if (args.bias == nullptr)
      for (int64_t row = 0; row < rows; ++row)
        score_row<Score, false>(logits_of(row), nullptr, scores(row), scratch.maxima[row]);
    else
      for (int64_t row = 0; row < rows; ++row)
        score_row<Score, true>(logits_of(row), scratch.bias, scores(row), scratch.maxima[row]);
  }

  template <class LogitsOf>
  MOE_GATING_FLATTEN void score(LogitsOf logits_of) {
    if (args.norm_type == MOE_GATING_SIGMOID) return score_each<Sigmoid>(logits_of);
    if (args.norm_type == MOE_GATING_SQRT_SOFTPLUS) return score_each<SqrtSoftplus>(logits_of);
    for (int64_t row = 0; row < rows; ++row) maxima_of(logits_of(row), scratch.maxima[row]);
    const auto k = static_cast<size_t>(std::min(args.k, lanes));
    for (int64_t first = 0; first < rows; first += width) {
      Columns columns = Columns::load(scratch.maxima[first], lanes);
      sort_run(columns.of);
      Vector::store(scratch.row_maxima + first, columns.of[0]);
      Vector::store(scratch.bounds + first, exp_times_2_64(Vector::sub(columns.of[k - 1], columns.of[0])));
    }
    // The sum of two scores is rounded otherwise than that of their exponentials.
    undivided = args.bias == nullptr && !(drops_groups() && args.group_select_mode == 1);
    bounded = undivided && args.k <= most_usual && !drops_groups();
    for (int64_t row = 0; row < rows; ++row)
      scratch.reciprocals[row] =
          static_cast<float>(1 / exponentials(logits_of(row), scratch.row_maxima[row], scores(row)));
    if (args.bias != nullptr)
      for (int64_t row = 0; row < rows; ++row)
        divide_row<true>(args.experts, scratch.reciprocals[row], scratch.bias, scores(row), scratch.maxima[row]);
    else if (!undivided)
      for (int64_t row = 0; row < rows; ++row)
        divide_row<false>(args.experts, scratch.reciprocals[row], nullptr, scores(row), scratch.maxima[row]);
  }

  template <class ChoiceOf>
  void keep_and_choose(ChoiceOf choice_of) {
    if (!drops_groups()) return Choose(*this, choice_of).choose();
    keep(choice_of);
    for (int64_t row = 0; row < rows; ++row)
      pack(choice_of(row), scratch.offsets[row], args.k_group, group_size(), scratch.packed + row * stride);
    Choose(*this, [this](int64_t row) { return Plain{scratch.packed + row * stride}; }).choose();
  }

  template <class ChoiceOf>
  MOE_GATING_FLATTEN void keep(ChoiceOf choice_of) {
    const int64_t count = args.group_count, size = group_size();
    const bool two = args.group_select_mode == 1;
    if (size < width) {
      for (int64_t first = 0; first < rows; first += width)
        keep_small([=](int64_t row) { return choice_of(first + row); },
                   undivided ? Vector::load(scratch.reciprocals + first) : Vector::set(1.0f),
                   std::min(width, rows - first), count, size, args.k_group, two, scratch.columns.floats,
                   scratch.offsets + first);
      return;
    }
    for (int64_t row = 0; row < rows; ++row) {
      float *const scores = scratch.wide[row];
      for (int64_t i = 0; i < lanes; i += width) Vector::store(scores + i, Vector::set(nan));
      score_groups(choice_of(row), count, size, two, scores);
      if (undivided)
        for (int64_t i = 0; i < count; i += width)
          Vector::store(scores + i, Vector::mul(Vector::load(scores + i), Vector::set(scratch.reciprocals[row])));
    }
    for (int64_t first = 0; first < rows; first += width) {
      const int64_t some = std::min(width, rows - first);
      if (count <= 8)
        keep_few<8>(scratch.wide[first], some, size, args.k_group, scratch.offsets + first);
      else if (count <= 16)
        keep_few<16>(scratch.wide[first], some, size, args.k_group, scratch.offsets + first);
      else
        keep_many(scratch.wide[first], some, count, size, args.k_group, scratch.columns.floats,
                  scratch.offsets + first);
    }
  }

  void route() {
    for (int64_t row = 0; row < rows; ++row) {
      take_experts(args, first + row, scratch.chosen[row]);
      fetch_weights(row);
    }
  }

  MOE_GATING_FLATTEN void weigh() {
    const bool divides = args.renorm != 0 || args.norm_type != MOE_GATING_SOFTMAX;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t begin = (first + row) * args.k;
      write_row<Type>(scratch.weights[row], scratch.chosen[row], args.k, divides, args.eps, args.routed_scaling_factor,
                      last * args.k - begin, static_cast<typename Type::Storage *>(args.y) + begin,
                      args.expert_idx + begin);
    }
  }
};

template <class Type>
void run_rows_of(const moe_gating_top_k_args &args, int64_t first, int64_t last) {
  Scratch scratch;
  for (int64_t row = 0; row < std::min(rows_per_block, last - first); ++row)
    std::fill_n(scratch.candidates[row], candidates_of_row, 0);
  const auto *bias = static_cast<const typename Type::Storage *>(args.bias);
  if (bias != nullptr && args.bias_stride == 1) {
    const Logits<Type> biases{bias, args.experts, 0};
    walk(args.experts, [&](int64_t, int64_t i, auto size) { Vector::store(scratch.bias + i, biases.load(i, size)); });
  } else if (bias != nullptr) {
    for (int64_t i = 0; i < args.experts; ++i) scratch.bias[i] = Type::load(bias[i * args.bias_stride]);
  }
  const int64_t step = std::min(rows_per_block, std::max<int64_t>(1, experts_per_block / stride_of(args.experts)));
  const bool few = Few<Type>::serves(args);
  for (int64_t row = first; row < last; row += step) {
    Steps<Type> steps{{args, scratch, row, std::min(step, last - row), last}};
    few ? steps.run_few() : steps.run();
  }
}

inline void run_rows(const moe_gating_top_k_args &given, int64_t first, int64_t last) {
  moe_gating_top_k_args args = given;
  if (args.group_count == args.experts) args.k_group = args.group_count;  // the k best are never dropped
  switch (args.dtype) {
    case MOE_GATING_FLOAT32: return run_rows_of<Float32>(args, first, last);
    case MOE_GATING_FLOAT16: return run_rows_of<Float16>(args, first, last);
    default: return run_rows_of<BFloat16>(args, first, last);
  }
}

}  // namespace
}  // namespace moe_gating
