// The steps, over blocks of rows: each step runs through the rows of a block before the next begins, so that the
// processor works on several rows at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "columns.h"
#include "groups.h"
#include "memory.h"
#include "moe_gating_top_k.h"
#include "order.h"
#include "routing.h"
#include "scores.h"
#include "scratch.h"
#include "select.h"

namespace moe_gating {
namespace {

// Among the exponentials of a softmax, those whose scores may be equal differ by less than `margin`, relatively, where the
// scores are at least `least_divided`: then a rounding of them is less than that.
constexpr float margin = 0x1p-20f, least_divided = 0x1p-120f;

// A block of rows of x: float32 in scratch if their experts are not neighbours in memory.
template <class Type>
class Block {
 public:
  Block(const moe_gating_top_k_args &args, Scratch &scratch, int64_t first, int64_t rows, int64_t last)
      : args_(args), scratch_(scratch), first_(first), rows_(rows), last_(last), stride_(stride_of(args.experts)) {}

  void run() {
    // A sigmoid takes one walk over a row, a softmax two: far enough ahead that what is read has arrived by then.
    const int64_t ahead = args_.norm_type == 1 ? rows_per_block / 2 : rows_per_block;
    const auto *x = static_cast<const typename Type::Storage *>(args_.x) + first_ * args_.x_row_stride;
    if (args_.x_column_stride == 1) {
      score([=](int64_t row) {
        return Logits<Type>{x + row * args_.x_row_stride, args_.experts, ahead * args_.x_row_stride};
      });
    } else {
      gather<Type>(x, args_.x_row_stride, args_.x_column_stride, rows_, args_.experts, scratch_.scores, stride_);
      score([this](int64_t row) { return Logits<Float32>{scores(row), args_.experts, 0}; });
    }
    if (args_.norm_out != nullptr)
      for (int64_t row = 0; row < rows_; ++row)
        write_scores(scores(row), reciprocal(row), args_.experts, args_.norm_out + (first_ + row) * args_.experts);
    if (args_.input_ids != nullptr)
      route();
    else if (args_.bias == nullptr)
      keep_and_choose([this](int64_t row) { return Plain{scores(row)}; });
    else
      keep_and_choose([this](int64_t row) { return Biased{scores(row), scratch_.bias}; });
    weigh();
  }

 private:
  // Of a softmax without a bias they are not yet divided by their sum, and are so only where it matters.
  float *scores(int64_t row) const { return scratch_.scores + row * stride_; }
  float reciprocal(int64_t row) const { return undivided_ ? scratch_.reciprocals[row] : 1.0f; }

  template <class LogitsOf>
  MOE_GATING_FLATTEN void score(LogitsOf logits_of) {
    auto &scratch = scratch_;
    if (args_.norm_type == 1) {
      if (args_.k_group < args_.group_count)  // of the groups that are kept, the maxima are taken later
        for (int64_t row = 0; row < rows_; ++row) sigmoid_row(logits_of(row), scores(row));
      else if (args_.bias == nullptr)
        for (int64_t row = 0; row < rows_; ++row)
          sigmoid_row<false>(logits_of(row), nullptr, scores(row), scratch.maxima[row]);
      else
        for (int64_t row = 0; row < rows_; ++row)
          sigmoid_row<true>(logits_of(row), scratch.bias, scores(row), scratch.maxima[row]);
      return;
    }
    for (int64_t row = 0; row < rows_; ++row) maxima_of(logits_of(row), scratch.maxima[row]);
    const auto k = static_cast<size_t>(std::min(args_.k, lanes));
    for (int64_t first = 0; first < rows_; first += width) {
      Columns columns = Columns::load(scratch.maxima, first);
      sort_descending(columns.of);
      Vector::store(scratch.row_maxima + first, columns.of[0]);
      Vector::store(scratch.bounds + first, exp_times_2_64(Vector::sub(columns.of[k - 1], columns.of[0])));
    }
    undivided_ = args_.bias == nullptr;
    bounded_ = undivided_ && args_.k <= usual && args_.k_group == args_.group_count;
    for (int64_t row = 0; row < rows_; ++row)
      scratch.reciprocals[row] =
          static_cast<float>(1 / exponentials(logits_of(row), scratch.row_maxima[row], scores(row)));
    if (!undivided_)
      for (int64_t row = 0; row < rows_; ++row)
        divide_row(args_.experts, scratch.reciprocals[row], scratch.bias, scores(row), scratch.maxima[row]);
  }

  template <class ChoiceOf>
  void keep_and_choose(ChoiceOf choice_of) {
    if (args_.k_group < args_.group_count) {
      keep(choice_of);
      if (!ranged_) return choose([this](int64_t row) { return Plain{scratch_.masked + row * stride_}; });
    }
    choose(choice_of);
  }

  template <class ChoiceOf>
  MOE_GATING_FLATTEN void keep(ChoiceOf choice_of) {
    const int64_t count = args_.group_count, size = args_.experts / count;
    auto &scratch = scratch_;
    for (int64_t row = 0; row < rows_; ++row) {
      float *const scores = count <= lanes ? scratch.few_group_scores[row] : scratch.group_scores[row];
      for (int64_t i = 0; i < lanes; i += width) Vector::store(scores + i, Vector::set(-infinity));
      score_groups(choice_of(row), count, size, args_.group_select_mode == 1, scores);
      if (undivided_)
        for (int64_t i = 0; i < count; i += width)
          Vector::store(scores + i,
                        Vector::mul(Vector::load(Float32(), scores + i), Vector::set(scratch.reciprocals[row])));
    }
    ranged_ = size >= width;
    if (ranged_ && count <= lanes) {
      for (int64_t first = 0; first < rows_; first += width) {
        if (count <= 8)
          keep_few<8>(scratch.few_group_scores, first, args_.k_group, scratch.kept_bits);
        else
          keep_few<16>(scratch.few_group_scores, first, args_.k_group, scratch.kept_bits);
      }
      for (int64_t row = 0; row < rows_; ++row) {
        auto bits = static_cast<uint32_t>(scratch.kept_bits[row]);
        for (int64_t i = 0; i < args_.k_group; ++i, bits &= bits - 1)
          scratch.kept[row][i] = static_cast<int32_t>(__builtin_ctz(bits) * size);
      }
      return;
    }
    for (int64_t row = 0; row < rows_; ++row)
      rank(count <= lanes ? scratch.few_group_scores[row] : scratch.group_scores[row], count, scratch.group_ranks[row]);
    for (int64_t row = 0; row < rows_; ++row) {
      const int32_t *ranks = scratch.group_ranks[row];
      if (ranged_) {
        keep_groups(ranks, count, size, args_.k_group, scratch.kept[row]);
      } else {
        mask_groups(ranks, count, size, args_.k_group, choice_of(row), scratch.masked + row * stride_);
      }
    }
  }

  Ranges ranges(int64_t row) const {
    static constexpr int32_t zero = 0;
    if (!ranged_) return {1, args_.experts, &zero};
    return {args_.k_group, args_.experts / args_.group_count, scratch_.kept[row]};
  }

  template <class ChoiceOf>
  MOE_GATING_FLATTEN void choose(ChoiceOf choice_of) {
    auto &scratch = scratch_;
    if (args_.k > usual) {
      for (int64_t row = 0; row < rows_; ++row) select_one(row, choice_of(row));
      return;
    }
    if (!bounded_) {
      if (args_.k_group < args_.group_count)
        for (int64_t row = 0; row < rows_; ++row) lane_maxima(choice_of(row), ranges(row), scratch.maxima[row]);
      for (int64_t first = 0; first < rows_; first += width) {
        Columns columns = Columns::load(scratch.maxima, first);
        sort_descending(columns.of);
        Vector::store(scratch.bounds + first, columns.of[args_.k - 1]);
      }
    }
    for (int64_t row = 0; row < rows_; ++row) {
      const F bound = Vector::set(scratch.bounds[row] * (undivided_ ? 1 - margin : 1.0f));
      scratch.candidate_counts[row] = collect(
          choice_of(row), ranges(row), [&](F value) { return Vector::at_least(value, bound); }, scratch.candidates[row],
          0);
    }
    for (int64_t row = 0; row < rows_; ++row)
      if (scratch.candidate_counts[row] > usual) thin(row, choice_of(row));
    for (int64_t row = 0; row < rows_; ++row) fetch(row);
    order();
    for (int64_t row = 0; row < rows_; ++row)
      if (scratch.unusual[row]) select_one(row, choice_of(row));
  }

  // Of more candidates than usual, those that reach the bound, the greater ones first; still too many if more than `usual`
  // are greater.
  template <class Choice>
  [[gnu::noinline]] void thin(int64_t row, Choice choice) {
    const auto divided = divide(row, choice);
    const F bound = Vector::set(scratch_.bounds[row] * reciprocal(row));
    int32_t *const experts = scratch_.candidates[row];
    int64_t count = collect(divided, ranges(row), [&](F value) { return Vector::greater(value, bound); }, experts, 0);
    if (count <= usual)
      count = std::min(
          usual, collect(divided, ranges(row), [&](F value) { return Vector::equal(value, bound); }, experts, count));
    scratch_.candidate_counts[row] = count;
  }

  Product divide(int64_t row, Plain choice) const { return {choice.values, Vector::set(reciprocal(row))}; }
  Biased divide(int64_t, Biased choice) const { return choice; }

  // The scores of the candidates, and what decides among them.
  void fetch(int64_t row) {
    auto &scratch = scratch_;
    const int64_t count = scratch.candidate_counts[row];
    const F lowest = Vector::set(-infinity);
    for (int64_t i = 0; i < lanes; i += width) {
      const I experts = Vector::load(scratch.candidates[row] + i);
      F value = Vector::gather(scores(row), experts);
      if (undivided_) value = Vector::mul(value, Vector::set(reciprocal(row)));
      if (args_.bias != nullptr) {
        Vector::store(scratch.candidate_scores[row] + i, value);
        value = Vector::add(value, Vector::gather(scratch.bias, experts));
      }
      value = Vector::head(value, count - i, lowest);
      Vector::store(scratch.candidate_values[row] + i, value);
      Vector::store(scratch.order[row] + i, with_places(Vector::key(value), i));
    }
    bool usable = count >= args_.k && count <= usual && scratch.bounds[row] > -infinity;
    if (undivided_) usable = usable && scratch.bounds[row] * reciprocal(row) >= least_divided;
    scratch.unusual[row] = !usable;
  }

  template <class Values>
  [[gnu::noinline]] void select_one(int64_t row, Values choice) {
    auto &scratch = scratch_;
    for (int64_t i = 0; i < args_.experts; i += width)
      Vector::store(scratch.choice + i, Vector::mul(choice(i), Vector::set(reciprocal(row))));
    Candidates candidates{scratch.experts, scratch.values, 0};
    const Ranges from = ranges(row);
    select(scratch.choice, args_.experts, from, args_.k, quick_bound(scratch.choice, from, args_.k), candidates,
           scratch.chosen[row]);
    fetch_weights(row);
  }

  void fetch_weights(int64_t row) {
    for (int64_t i = 0; i < args_.k; ++i)
      scratch_.weights[row][i] = scores(row)[scratch_.chosen[row][i]] * reciprocal(row);
  }

  void route() {
    for (int64_t row = 0; row < rows_; ++row) {
      take_experts(args_, first_ + row, scratch_.chosen[row]);
      fetch_weights(row);
    }
  }

  // Writes the candidates in order, and marks the rows whose order is not certain.
  MOE_GATING_FLATTEN void order() {
    auto &scratch = scratch_;
    const auto &weights = args_.bias == nullptr ? scratch.candidate_values : scratch.candidate_scores;
    for (int64_t first = 0; first < rows_; first += width) sort_rows(scratch.order, first);
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t i = 0; i < lanes; i += width) {
        const I places = places_of(Vector::load(scratch.order[row] + i));
        Vector::store(scratch.chosen[row] + i, Vector::pick(scratch.candidates[row], places));
        Vector::store(scratch.ordered[row] + i, Vector::pick(scratch.candidate_values[row], places));
        Vector::store(scratch.weights[row] + i, Vector::pick(weights[row], places));
      }
      scratch.ordered[row][lanes] = -infinity;
    }
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t i = 0; i < lanes; i += width)
        if (Vector::any_less(Vector::load(Float32(), scratch.ordered[row] + i),
                             Vector::load(Float32(), scratch.ordered[row] + i + 1)))
          scratch.unusual[row] = true;
  }

  MOE_GATING_FLATTEN void weigh() {
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t begin = (first_ + row) * args_.k;
      write_row<Type>(scratch_.weights[row], scratch_.chosen[row], args_.k, args_.norm_type == 1, args_.eps,
                      args_.routed_scaling_factor, last_ * args_.k - begin,
                      static_cast<typename Type::Storage *>(args_.y) + begin, args_.expert_idx + begin);
    }
  }

  const moe_gating_top_k_args &args_;
  Scratch &scratch_;
  int64_t first_, rows_, last_, stride_;
  bool undivided_ = false, bounded_ = false, ranged_ = false;
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
