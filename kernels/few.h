// Steps 1 to 4 for gates of up to 16 experts that keep all groups, by columns: a vector holds the same number of `width` rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "block.h"
#include "columns.h"
#include "memory.h"
#include "order.h"
#include "sort.h"

namespace moe_gating {
namespace {

template <class Type>
class Few {
 public:
  explicit Few(const Block &block) : block_(block), args_(block.args), scratch_(block.scratch) {}

  static bool serves(const moe_gating_top_k_args &args) {
    return args.experts <= lanes && args.k_group == args.group_count && args.input_ids == nullptr;
  }

  void score() {
    const auto *x = static_cast<const typename Type::Storage *>(args_.x) + block_.first * args_.x_row_stride;
    if (args_.x_column_stride == 1)
      return score([=](int64_t row) { return Logits<Type>{x + row * args_.x_row_stride, args_.experts, 0}; });
    const typename Type::Storage *gathered = block_.gather_x(x);
    score([=](int64_t row) { return Logits<Type>{gathered + row * block_.stride, args_.experts, 0}; });
  }

  // As the other steps expect them.
  void scores_to_rows() const {
    for (int64_t first = 0; first < block_.rows; first += width) {
      Columns columns;
      for (int64_t i = 0; i < lanes; ++i) columns.of[i] = Vector::load(scores(first) + i * width);
      columns.store(block_.scores(first), block_.stride);
    }
  }

  // Writes the experts and their scores, best first. False, and nothing of it counts, if the order of a row is not
  // certain.
  MOE_GATING_FLATTEN bool choose() {
    for (int64_t first = 0; first < block_.rows; first += width) {
      const float *choice = scores(first);
      if (args_.bias != nullptr) choice = add_bias(choice);
      if (!(args_.experts <= 8 ? sort<8>(choice) : sort<16>(choice))) return false;
      Columns weights, experts;
      for (int64_t i = 0; i < lanes; ++i) weights.of[i] = experts.of[i] = Vector::set(0.0f);
      for (int64_t i = 0; i < args_.k; ++i) {
        weights.of[i] = ranked(scores(first), i);
        experts.of[i] = Vector::floats(expert(i));
      }
      weights.store(scratch_.weights[first], MOE_GATING_MAX_EXPERTS + slack);
      experts.store(scratch_.chosen[first], MOE_GATING_MAX_EXPERTS + slack);
    }
    return true;
  }

 private:
  float *scores(int64_t first) const { return scratch_.columns.floats + first * lanes; }

  template <class LogitsOf>
  MOE_GATING_FLATTEN void score(LogitsOf logits_of) {
    for (int64_t first = 0; first < block_.rows; first += width) {
      load(logits_of, first);
      switch (args_.norm_type) {
        case MOE_GATING_SIGMOID: score_each<Sigmoid>(scores(first)); break;
        case MOE_GATING_SQRT_SOFTPLUS: score_each<SqrtSoftplus>(scores(first)); break;
        default: softmax(scores(first));
      }
    }
  }

  template <class Score>
  void score_each(float *of) const {
    for (int64_t i = 0; i < args_.experts; ++i) Vector::store(of + i * width, Score::of(Vector::load(of + i * width)));
  }

  // What a block lacks of `width` rows is its last row again.
  template <class LogitsOf>
  void load(LogitsOf logits_of, int64_t first) {
    auto &square = scratch_.candidate_values;
    for (int64_t row = 0; row < width; ++row) {
      const auto logits = logits_of(std::min(first + row, block_.rows - 1));
      for (int64_t i = 0, left = args_.experts; left > 0; i += width, left -= width)
        Vector::store(square[row] + i, left >= width ? logits.load(i, Whole()) : logits.load(i, Part{left}));
    }
    to_columns(square[0], lanes, lanes, scores(first));
  }

  void softmax(float *of) const {
    const int64_t end = args_.experts * width;
    F largest = Vector::set(-infinity);
    for (int64_t i = 0; i < end; i += width) largest = Vector::max(Vector::load(of + i), largest);
    F sum = Vector::set(0.0f), lost = Vector::set(0.0f);  // what the sum has lost by rounding
    for (int64_t i = 0; i < end; i += width) {
      const F e = exp_times_2_64(Vector::sub(Vector::load(of + i), largest));
      Vector::store(of + i, e);
      const F larger = Vector::add(sum, e), added = Vector::sub(larger, sum);
      lost = Vector::add(lost, Vector::add(Vector::sub(sum, Vector::sub(larger, added)), Vector::sub(e, added)));
      sum = larger;
    }
    sum = Vector::add(sum, lost);
    const F reciprocal = Vector::div(Vector::set(1.0f), sum);
    for (int64_t i = 0; i < end; i += width) Vector::store(of + i, Vector::mul(Vector::load(of + i), reciprocal));
  }

  const float *add_bias(const float *of) const {
    float *const sums = scratch_.columns.floats + rows_per_block * lanes;
    for (int64_t i = 0; i < args_.experts; ++i)
      Vector::store(sums + i * width, Vector::add(Vector::load(of + i * width), Vector::set(scratch_.bias[i])));
    return sums;
  }

  // By keys in which the last four bits give way to the expert. True if that is certainly the order of the values.
  template <size_t count>
  bool sort(const float *choice) {
    const auto experts = static_cast<size_t>(args_.experts), k = static_cast<size_t>(args_.k);
    const I high = Vector::set(int32_t{~15}), least = Vector::set(key_of(-infinity));  // NaN ranks as -inf
    I keys[count];
    for (size_t i = 0; i < count; ++i) {
      const I key =
          i < experts ? Vector::max(Vector::key(Vector::load(choice + i * width)), least) : Vector::set(lowest_key);
      keys[i] = Vector::add(Vector::both(key, high), Vector::set(15 - static_cast<int32_t>(i)));
    }
    sort_run(keys);
    for (size_t i = 0; i < count; ++i) Vector::store(keys_ + i * width, keys[i]);
    const size_t compared = std::min(k, experts - 1);
    I greater = Vector::set(int32_t{0});
    for (size_t i = 0; i < compared; ++i)
      greater = Vector::count_greater(greater, Vector::both(keys[i], high), keys[i + 1]);
    return Vector::total(greater) == static_cast<int32_t>(compared * width) || in_order(choice);
  }

  [[gnu::noinline]] bool in_order(const float *choice) const {
    const auto value = [&](int64_t rank) { return Vector::max(ranked(choice, rank), Vector::set(-infinity)); };
    for (int64_t i = 0; i + 1 < args_.experts; ++i)
      if (Vector::any_less(value(i), value(i + 1))) return false;
    return true;
  }

  I expert(int64_t rank) const { return places_of(Vector::load(keys_ + rank * width)); }

  // Of the expert with this rank, in each row.
  F ranked(const float *columns, int64_t rank) const {
    I at = expert(rank);
    for (int64_t i = 1; i < width; i *= 2) at = Vector::add(at, at);
    return Vector::gather(columns, Vector::add(at, Vector::load(places)));
  }

  const Block &block_;
  const moe_gating_top_k_args &args_;
  Scratch &scratch_;
  alignas(64) int32_t keys_[lanes * width];
};

}  // namespace
}  // namespace moe_gating
