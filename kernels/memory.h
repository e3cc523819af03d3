// What lies outside of scratch: rows of logits whose experts are not neighbours, and the results.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "scores.h"

namespace moe_gating {
namespace {

// Copies rows to where experts are neighbours. Walks through memory along the shorter stride, and fetches what lies `next`
// numbers ahead: no processor foresees such walks.
template <class Number>
void gather(const Number *from, int64_t row_stride, int64_t column_stride, int64_t next, int64_t rows, int64_t experts,
            Number *to, int64_t to_stride) {
  const auto copy = [=](int64_t row, int64_t expert) {
    to[row * to_stride + expert] = from[row * row_stride + expert * column_stride];
  };
  if (std::abs(row_stride) < std::abs(column_stride)) {
    for (int64_t expert = 0; expert < experts; ++expert) {
      __builtin_prefetch(from + next + expert * column_stride, 0, 2);
      for (int64_t row = 0; row < rows; ++row) copy(row, expert);
    }
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    int64_t expert = 0;
    for (; expert + 4 <= experts; expert += 4) {
      __builtin_prefetch(from + next + row * row_stride + expert * column_stride, 0, 2);
      for (int64_t i = 0; i < 4; ++i) copy(row, expert + i);
    }
    for (; expert < experts; ++expert) copy(row, expert);
  }
}

// Writes the products of the scores and a factor.
inline void write_scores(const float *scores, float factor, int64_t experts, float *to) {
  int64_t i = 0;
  for (; i + width <= experts; i += width)
    Vector::store(to + i, Vector::mul(Vector::load(scores + i), Vector::set(factor)));
  float rest[width];
  Vector::store(rest, Vector::mul(Vector::load(scores + i), Vector::set(factor)));
  std::copy_n(rest, experts - i, to + i);
}

inline float sum(const float *values, int64_t count) {
  if (count <= width) return Vector::total(Vector::head(Vector::load(values), count, Vector::set(0.0f)));
  Vector::Sum sum;
  for (int64_t i = 0; i < count; i += width)
    sum.add(Vector::head(Vector::load(values + i), count - i, Vector::set(0.0f)));
  return static_cast<float>(sum.total());
}

// Writes k weights and experts of a row. A whole vector may be written where it ends before `room`, as the rest of it belongs
// to rows that are still to come.
template <class Type>
void write_row(const float *weights, const int32_t *chosen, int64_t k, bool divides, float eps, float scale,
               int64_t room, typename Type::Storage *y, int32_t *expert_idx) {
  const F factor = Vector::set(scale), divisor = Vector::set(divides ? sum(weights, k) + eps : 1.0f);
  for (int64_t i = 0; i < k; i += width) {
    F weight = Vector::load(weights + i);
    if (divides) weight = Vector::div(weight, divisor);
    weight = Vector::mul(weight, factor);
    if (i + width <= room) {
      Vector::store(Type(), y + i, weight);
      Vector::store(expert_idx + i, Vector::load(chosen + i));
    } else {
      typename Type::Storage rest[width];
      Vector::store(Type(), rest, weight);
      std::copy_n(rest, std::min(width, k - i), y + i);
      std::copy_n(chosen + i, std::min(width, k - i), expert_idx + i);
    }
  }
}

}  // namespace
}  // namespace moe_gating
