// Step 1: the scores of a row of logits.
#pragma once

#include <algorithm>
#include <cstdint>

#include "functions.h"
#include "half.h"

namespace moe_gating {
namespace {

// How much of a vector counts: all of it, or its first lanes.
struct Whole {
  F head(F value, F) const { return value; }
};
struct Part {
  int64_t count;
  F head(F value, F rest) const { return Vector::head(value, count, rest); }
};

// A row of logits, next to each other.
template <class Type>
struct Logits {
  const typename Type::Storage *x;
  int64_t experts;
  int64_t next;  // from here to the logits that will be read a block later

  F load(int64_t i, Whole) const { return Vector::load(Type(), x + i); }
  F load(int64_t i, Part part) const { return Vector::load_part(Type(), x + i, part.count); }
  template <class Size>
  F first_look(int64_t i, Size size) const {
    __builtin_prefetch(x + next + i, 0, 2);  // to the second level: the first has no room for a block to come
    return load(i, size);
  }
};

// Combines all lanes into each, without a detour through memory. `combine` takes two vectors and does not mind order.
template <class Combine>
F reduce(F value, Combine combine) {
  F a, b;
  if constexpr (width == 16) {
    Vector::interleave<2>(value, value, a, b);
    value = combine(a, b);
  }
  if constexpr (width >= 8) {
    Vector::interleave<3>(value, value, a, b);
    value = combine(a, b);
  }
  for (int step = 0; step < 2; ++step) {
    Vector::interleave<0>(value, value, a, b);
    value = combine(a, b);
  }
  return value;
}

inline float first_lane(F value) {
  float lanes[width];
  Vector::store(lanes, value);
  return lanes[0];
}

constexpr int64_t lanes = 16;  // of a row, expert i belongs to lane i % 16, whatever the width of a vector
constexpr int64_t parts = lanes / width;

// Calls step(part, i, size) for the vectors of `experts` values; lanes part * width and after are in the vector.
template <class Step>
MOE_GATING_INLINE void walk(int64_t experts, Step step) {
  int64_t i = 0;
  for (; i + 4 * width <= experts; i += 4 * width) {
    step(0, i, Whole());
    step(1 % parts, i + width, Whole());
    step(2 % parts, i + 2 * width, Whole());
    step(3 % parts, i + 3 * width, Whole());
  }
  for (int64_t part = 0; i < experts; ++part, i += width) {
    if (i + width <= experts)
      step(part % parts, i, Whole());
    else
      step(part % parts, i, Part{experts - i});
  }
}

// The largest of each lane; NaN is passed over.
class Maxima {
 public:
  Maxima() {
    for (F &part : parts_) part = Vector::set(-infinity);
  }
  void see(int64_t part, F value) { parts_[part] = Vector::max(value, parts_[part]); }
  void store(float *to) const {
    for (int64_t part = 0; part < parts; ++part) Vector::store(to + part * width, parts_[part]);
  }

 private:
  F parts_[parts];
};

// Scores that depend on no other logit of the row.
struct Sigmoid {
  static F of(F x) { return sigmoid(x); }
};
struct SqrtSoftplus {
  static F of(F x) { return sqrt_softplus(x); }
};

// Writes a whole number of vectors of scores.
template <class Score, class Type>
MOE_GATING_INLINE void score_row(Logits<Type> logits, float *scores) {
  walk(logits.experts,
       [&](int64_t, int64_t i, auto size) { Vector::store(scores + i, Score::of(logits.first_look(i, size))); });
}

// The same, and the maxima of the lanes of what the scores and the bias sum to.
template <class Score, bool biased, class Type>
MOE_GATING_INLINE void score_row(Logits<Type> logits, const float *bias, float *scores, float *maxima) {
  Maxima largest;
  walk(logits.experts, [&](int64_t part, int64_t i, auto size) {
    const F score = Score::of(logits.first_look(i, size));
    Vector::store(scores + i, score);
    const F choice = !biased ? score : Vector::add(score, Vector::load(bias + i));
    largest.see(part, size.head(choice, Vector::set(-infinity)));
  });
  largest.store(maxima);
}

// A softmax takes walks over the row; the kernel takes each over several rows, which hides their latencies.
template <class Type>
MOE_GATING_INLINE void maxima_of(Logits<Type> logits, float *maxima) {
  Maxima largest;
  walk(logits.experts, [&](int64_t part, int64_t i, auto size) {
    largest.see(part, size.head(logits.load(i, size), Vector::set(-infinity)));
  });
  largest.store(maxima);
}

// Writes 2^64 exp(x - maximum), a whole number of vectors, and returns their sum.
template <class Type>
MOE_GATING_INLINE double exponentials(Logits<Type> logits, float maximum, float *to) {
  const F largest = Vector::set(maximum);
  Vector::Sum sum;
  const auto take = [&](int64_t i, auto size) {
    const F e = size.head(exp_times_2_64(Vector::sub(logits.first_look(i, size), largest)), Vector::set(0.0f));
    Vector::store(to + i, e);
    return e;
  };
  int64_t i = 0;
  for (; i + 4 * width <= logits.experts; i += 4 * width) {  // pairs of pairs first: few roundings, few sums in double
    const F a = take(i, Whole()), b = take(i + width, Whole());
    const F c = take(i + 2 * width, Whole()), d = take(i + 3 * width, Whole());
    sum.add(Vector::add(Vector::add(a, b), Vector::add(c, d)));
  }
  if (i < logits.experts) {
    F rest = Vector::set(0.0f);
    for (; i + width <= logits.experts; i += width) rest = Vector::add(rest, take(i, Whole()));
    if (i < logits.experts) rest = Vector::add(rest, take(i, Part{logits.experts - i}));
    sum.add(rest);
  }
  return sum.total();
}

// Divides exponentials by their sum: one product, so that of two the larger has the larger score, or both have the same.
template <bool biased>
MOE_GATING_INLINE void divide_row(int64_t experts, float reciprocal, const float *bias, float *scores, float *maxima) {
  Maxima largest;
  walk(experts, [&](int64_t part, int64_t i, auto size) {
    const F score = Vector::mul(Vector::load(scores + i), Vector::set(reciprocal));
    Vector::store(scores + i, score);
    const F choice = !biased ? score : Vector::add(score, Vector::load(bias + i));
    largest.see(part, size.head(choice, Vector::set(-infinity)));
  });
  largest.store(maxima);
}

}  // namespace
}  // namespace moe_gating
