// What the kernel computes, written plainly and in double, with its gradient: for the tests in C++ and for the fuzzer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "../../kernels/half.h"
#include "../../kernels/moe_gating_top_k.h"
#include "../../kernels/moe_gating_top_k_gradient.h"

namespace definition {

using moe_gating::BFloat16;
using moe_gating::Float16;
using moe_gating::Float32;
using Row = std::vector<double>;

#define DEMAND(condition, ...)                                             \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::fprintf(stderr, __VA_ARGS__);                                   \
      std::fprintf(stderr, "\n");                                          \
      std::exit(1);                                                        \
    }                                                                      \
  } while (false)

struct Shape {
  int64_t experts, group_count, k_group, mode, k;
};

// Of a softmax the difference to the largest is rounded to float32.
inline Row normalize(Row x, int64_t norm_type) {
  if (norm_type == 1) {
    for (double &value : x) value = 1 / (1 + std::exp(-value));
    return x;
  }
  if (norm_type == 2) {
    for (double &value : x) value = std::sqrt(std::max(value, 0.0) + std::log1p(std::exp(-std::abs(value))));
    return x;
  }
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double &value : x) sum += value = std::exp(static_cast<double>(static_cast<float>(value - largest)));
  for (double &value : x) value /= sum;
  return x;
}

inline std::vector<int64_t> descending(const Row &values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  return order;
}

inline std::vector<int64_t> choose(Row choice, const Shape &shape) {
  const int64_t size = shape.experts / shape.group_count;
  if (shape.k_group < shape.group_count && size > 1) {
    Row scores;
    for (int64_t group = 0; group < shape.group_count; ++group) {
      Row members(choice.begin() + group * size, choice.begin() + (group + 1) * size);
      std::sort(members.rbegin(), members.rend());
      scores.push_back(shape.mode == 0 ? members[0] : static_cast<float>(members[0] + members[1]));
    }
    const auto groups = descending(scores);
    for (int64_t i = shape.k_group; i < shape.group_count; ++i)
      std::fill_n(choice.begin() + groups[static_cast<size_t>(i)] * size, size, -INFINITY);
  }
  return descending(choice);
}

// The derivative of a score that depends on its logit x alone.
inline double slope(double x, double score, int64_t norm_type) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  return norm_type == 1 ? score * (1 - score) : sigmoid / (2 * score);
}

// The gradient of what a call has computed, with and without one of the scores.
template <class Type>
void run_gradient(const moe_gating_top_k_args &of, std::mt19937 &random) {
  using Storage = typename Type::Storage;
  const auto experts = static_cast<size_t>(of.experts), k = static_cast<size_t>(of.k);
  const auto tokens = static_cast<size_t>(of.tokens);
  std::vector<Storage> grad_y(tokens * k), grad_x(tokens * experts);
  std::vector<float> grad_norm_out(tokens * experts);
  const auto draw = [&random] { return static_cast<float>(random() % 2001) / 1000 - 1; };
  for (auto &value : grad_y) value = Type::store(draw());
  for (auto &value : grad_norm_out) value = draw();
  for (const bool with_scores : {false, true}) {
    moe_gating_top_k_gradient_args args{};
    args.x = of.x, args.x_row_stride = of.x_row_stride, args.x_column_stride = of.x_column_stride;
    args.expert_idx = of.expert_idx, args.grad_y = grad_y.data(), args.grad_x = grad_x.data();
    args.grad_norm_out = with_scores ? grad_norm_out.data() : nullptr;
    args.tokens = of.tokens, args.experts = of.experts, args.k = of.k, args.dtype = of.dtype;
    args.renorm = of.renorm, args.norm_type = of.norm_type;
    args.routed_scaling_factor = of.routed_scaling_factor, args.eps = of.eps;
    const int code = moe_gating_top_k_gradient(&args, 2);
    DEMAND(code == 0, "%s", moe_gating_top_k_error(code));
    for (size_t token = 0; token < tokens; ++token) {
      Row logits, of_scores(experts), of_chosen(k);
      for (size_t i = 0; i < experts; ++i)
        logits.push_back(Type::load(static_cast<const Storage *>(of.x)[token * experts + i]));
      const Row scores = normalize(logits, of.norm_type);
      double sum = of.eps, product = 0;
      const auto chosen = [&](size_t i) { return static_cast<size_t>(of.expert_idx[token * k + i]); };
      for (size_t i = 0; i < k; ++i) {
        of_chosen[i] = Type::load(grad_y[token * k + i]) * of.routed_scaling_factor;
        sum += scores[chosen(i)], product += scores[chosen(i)] * of_chosen[i];
      }
      const bool divided = of.norm_type != 0 || of.renorm != 0;
      for (size_t i = 0; i < experts && with_scores; ++i) of_scores[i] = grad_norm_out[token * experts + i];
      for (size_t i = 0; i < k; ++i)
        of_scores[chosen(i)] += divided ? (of_chosen[i] - product / sum) / sum : of_chosen[i];
      double mean = 0, largest = 0;
      for (size_t i = 0; i < experts && of.norm_type == 0; ++i) mean += scores[i] * of_scores[i];
      Row wanted;
      for (size_t i = 0; i < experts; ++i) {
        const double each = of.norm_type == 0 ? scores[i] : slope(logits[i], scores[i], of.norm_type);
        wanted.push_back(each * (of_scores[i] - mean));
        largest = std::max(largest, std::abs(wanted.back()));
      }
      const double step = sizeof(Storage) == 4 ? 2e-6 : std::is_same<Type, Float16>::value ? 6e-4 : 5e-3;
      for (size_t i = 0; i < experts; ++i) {
        const double got = Type::load(grad_x[token * experts + i]);
        DEMAND(std::abs(got - wanted[i]) <= step * largest + 6e-8, "E %d k %d: gradient %g for %g", int(experts),
               int(k), got, wanted[i]);
      }
    }
  }
}

}  // namespace definition
