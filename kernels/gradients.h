// The gradient with respect to the logits, a row at a time: of a softmax it needs all scores of the row, of the others
// those of the chosen experts alone, unless the scores themselves were a result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "memory.h"
#include "moe_gating_top_k_gradient.h"
#include "scores.h"
#include "scratch.h"

namespace moe_gating {
namespace {

// The derivative of a score, where x is the logit.
inline F slope(Sigmoid, F x, F score) {
  return Vector::mul(score, sigmoid(Vector::sub(Vector::set(0.0f), x)));  // 1 - score would be 0 too early
}

// sigmoid(x) / (2 score); far below 0 the score is exp(x / 2), and both underflow.
inline F slope(SqrtSoftplus, F x, F score) {
  const F half = Vector::mul(score, Vector::set(0.5f));
  const F near = Vector::div(sigmoid(x), Vector::add(score, score));
  const I far = Vector::count_greater(Vector::set(int32_t{0}), Vector::set(-17.0f), x);
  return Vector::where_less(far, 1, near, half);
}

// Whole vectors of it.
struct GradientScratch {
  alignas(64) float gathered[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float scores[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float gradients[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float chosen_logits[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float chosen_scores[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float chosen_gradients[MOE_GATING_MAX_EXPERTS + slack];
};

template <class Type>
struct Gradients {
  using Storage = typename Type::Storage;
  const moe_gating_top_k_gradient_args &args;
  GradientScratch &scratch;

  MOE_GATING_FLATTEN void run(int64_t row) {
    const Storage *x = static_cast<const Storage *>(args.x) + row * args.x_row_stride;
    if (args.x_column_stride != 1) x = gather_row(x);
    const Logits<Type> logits{x, args.experts, 0};
    const int32_t *experts = args.expert_idx + row * args.k;
    if (args.norm_type == MOE_GATING_SOFTMAX)
      of_softmax(logits, experts, row);
    else if (args.norm_type == MOE_GATING_SIGMOID)
      of_each<Sigmoid>(logits, experts, row);
    else
      of_each<SqrtSoftplus>(logits, experts, row);
    Storage *to = static_cast<Storage *>(args.grad_x) + row * args.experts;
    walk(args.experts,
         [&](int64_t, int64_t i, auto size) { write(to + i, Vector::load(scratch.gradients + i), size); });
  }

 private:
  static void write(Storage *to, F value, Whole) { Vector::store(Type(), to, value); }
  static void write(Storage *to, F value, Part part) {
    Storage whole[width];
    Vector::store(Type(), whole, value);
    std::copy_n(whole, part.count, to);
  }

  const Storage *gather_row(const Storage *x) const {
    auto *const to = reinterpret_cast<Storage *>(scratch.gathered);
    for (int64_t i = 0; i < args.experts; ++i) to[i] = x[i * args.x_column_stride];
    return to;
  }

  // Calls step(i) for the first of each vector of the chosen experts.
  template <class Step>
  void for_chosen(Step step) const {
    for (int64_t i = 0; i < args.k; i += width) step(i);
  }

  // The gradients of the chosen scores, whose weights are scale * score, or scale * score / sum.
  void chosen_gradients(int64_t row) const {
    if (args.grad_y == nullptr) {
      std::fill_n(scratch.chosen_gradients, args.k, 0.0f);
      return;
    }
    const Storage *grad_y = static_cast<const Storage *>(args.grad_y) + row * args.k;
    for (int64_t i = 0; i < args.k; ++i)
      scratch.chosen_gradients[i] = Type::load(grad_y[i]) * args.routed_scaling_factor;
    if (args.renorm == 0 && args.norm_type == MOE_GATING_SOFTMAX) return;
    double sum = args.eps, product = 0;
    for (int64_t i = 0; i < args.k; ++i) {
      sum += scratch.chosen_scores[i];
      product += double{scratch.chosen_scores[i]} * scratch.chosen_gradients[i];
    }
    for (int64_t i = 0; i < args.k; ++i)
      scratch.chosen_gradients[i] = static_cast<float>((scratch.chosen_gradients[i] - product / sum) / sum);
  }

  void add_to_chosen(const int32_t *experts) const {
    for (int64_t i = 0; i < args.k; ++i) scratch.gradients[experts[i]] += scratch.chosen_gradients[i];
  }

  template <class Score>
  void of_each(Logits<Type> logits, const int32_t *experts, int64_t row) const {
    for (int64_t i = 0; i < args.k; ++i) scratch.chosen_logits[i] = Type::load(logits.x[experts[i]]);
    for_chosen([&](int64_t i) {
      Vector::store(scratch.chosen_scores + i, Score::of(Vector::load(scratch.chosen_logits + i)));
    });
    chosen_gradients(row);
    for_chosen([&](int64_t i) {
      const F slopes = slope(Score(), Vector::load(scratch.chosen_logits + i), Vector::load(scratch.chosen_scores + i));
      Vector::store(scratch.chosen_gradients + i, Vector::mul(Vector::load(scratch.chosen_gradients + i), slopes));
    });
    if (args.grad_norm_out == nullptr)
      std::fill_n(scratch.gradients, args.experts, 0.0f);
    else
      walk(args.experts, [&](int64_t, int64_t i, auto size) {
        const F x = logits.load(i, size);
        Vector::store(scratch.gradients + i, Vector::mul(grad_norm_out(row, i, size), slope(Score(), x, Score::of(x))));
      });
    add_to_chosen(experts);
  }

  F grad_norm_out(int64_t row, int64_t i, Whole) const {
    return Vector::load(args.grad_norm_out + row * args.experts + i);
  }
  F grad_norm_out(int64_t row, int64_t i, Part part) const {
    return Vector::load_part(Float32(), args.grad_norm_out + row * args.experts + i, part.count);
  }

  // With s the scores and g their gradients: s * (g - sum(s * g)).
  void of_softmax(Logits<Type> logits, const int32_t *experts, int64_t row) const {
    float maxima[lanes];
    maxima_of(logits, maxima);
    const float largest = *std::max_element(maxima, maxima + lanes);
    const auto reciprocal = static_cast<float>(1 / exponentials(logits, largest, scratch.scores));
    walk(args.experts, [&](int64_t, int64_t i, auto) {
      Vector::store(scratch.scores + i, Vector::mul(Vector::load(scratch.scores + i), Vector::set(reciprocal)));
    });
    for (int64_t i = 0; i < args.k; ++i) scratch.chosen_scores[i] = scratch.scores[experts[i]];
    chosen_gradients(row);
    Vector::Sum products;
    if (args.grad_norm_out == nullptr) {
      std::fill_n(scratch.gradients, args.experts, 0.0f);
    } else {
      walk(args.experts, [&](int64_t, int64_t i, auto size) {
        const F gradient = grad_norm_out(row, i, size);
        Vector::store(scratch.gradients + i, gradient);
        products.add(size.head(Vector::mul(gradient, Vector::load(scratch.scores + i)), Vector::set(0.0f)));
      });
    }
    double product = products.total();
    for (int64_t i = 0; i < args.k; ++i) product += double{scratch.chosen_scores[i]} * scratch.chosen_gradients[i];
    add_to_chosen(experts);
    const F mean = Vector::set(static_cast<float>(product));
    walk(args.experts, [&](int64_t, int64_t i, auto) {
      const F gradient = Vector::sub(Vector::load(scratch.gradients + i), mean);
      Vector::store(scratch.gradients + i, Vector::mul(Vector::load(scratch.scores + i), gradient));
    });
  }
};

template <class Type>
void run_gradients_of(const moe_gating_top_k_gradient_args &args, int64_t first, int64_t last) {
  GradientScratch scratch;
  // What fills up the last vector of the chosen ones is read as well.
  std::fill_n(scratch.chosen_logits, (args.k + width - 1) / width * width, 0.0f);
  std::fill_n(scratch.chosen_gradients, (args.k + width - 1) / width * width, 0.0f);
  Gradients<Type> gradients{args, scratch};
  for (int64_t row = first; row < last; ++row) gradients.run(row);
}

inline void run_gradients(const moe_gating_top_k_gradient_args &args, int64_t first, int64_t last) {
  switch (args.dtype) {
    case MOE_GATING_FLOAT32: return run_gradients_of<Float32>(args, first, last);
    case MOE_GATING_FLOAT16: return run_gradients_of<Float16>(args, first, last);
    default: return run_gradients_of<BFloat16>(args, first, last);
  }
}

}  // namespace
}  // namespace moe_gating
