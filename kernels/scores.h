// Step 1: the scores of a row of logits. Vector is the one that was included before.
#pragma once

#include <cstdint>
#include <limits>

#include "half.h"

namespace moe_gating {
namespace {

using F = Vector::F;
using I = Vector::I;
constexpr int64_t width = Vector::width;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// exp(x) = 2^n * exp(r) with n = round(x / ln 2), so that |r| <= ln 2 / 2.
struct Reduced {
  F exp_r;  // within 1.3 units of 2^-24
  I n;      // in the low bits; what is above them does not survive shift_to_exponent()
};

// For exp(x) sign is 1, for exp(-x) it is -1, at no cost. |x| <= 200, or NaN, which exp_r then is.
template <int sign>
Reduced reduce(F x) {
  const F round_to_integer = Vector::set(0x1.8p23f);  // a sum with it has no bits for a fraction
  const F shifted = Vector::fma(x, Vector::set(sign * 1.44269504f), round_to_integer);
  const F n = Vector::sub(shifted, round_to_integer);
  // ln 2 in two parts, the first with few enough bits that its product with n is exact.
  F r = Vector::fma(n, Vector::set(sign * -0.693359375f), x);
  r = Vector::fma(n, Vector::set(sign * 2.12194440e-4f), r);
  F exp_r = Vector::set(0x1.6ae6e0p-10f);  // minimax on [-ln 2 / 2, ln 2 / 2], relative, 1 at 0
  exp_r = Vector::fma(exp_r, r, Vector::set(sign * 0x1.1267d8p-7f));
  exp_r = Vector::fma(exp_r, r, Vector::set(0x1.555824p-5f));
  exp_r = Vector::fma(exp_r, r, Vector::set(sign * 0x1.555418p-3f));
  exp_r = Vector::fma(exp_r, r, Vector::set(0x1.fffffcp-2f));
  exp_r = Vector::fma(exp_r, r, Vector::set(sign * 1.0f));
  exp_r = Vector::fma(exp_r, r, Vector::set(1.0f));
  return {exp_r, Vector::bits(shifted)};
}

inline F sigmoid(F x) {
  // Constants come first, so that NaN passes. At 89 2^n is infinite and the sigmoid 0, as of all that is further out.
  x = Vector::max(Vector::set(-89.0f), Vector::min(Vector::set(88.0f), x));
  const Reduced reduced = reduce<-1>(x);
  const F power = Vector::floats(Vector::add(Vector::shift_to_exponent(reduced.n), Vector::set(int32_t{127 << 23})));
  const F one = Vector::set(1.0f);
  return Vector::div(one, Vector::fma(reduced.exp_r, power, one));
}

// 2^64 exp(x) for x <= 0: what is subnormal or 0 without the factor stays normal, and a softmax divides the factor away.
inline F exp_times_2_64(F x) {
  const Reduced reduced = reduce<1>(Vector::max(Vector::set(-130.0f), x));
  const I exponent = Vector::add(Vector::shift_to_exponent(reduced.n), Vector::set(int32_t{64 << 23}));
  return Vector::floats(Vector::add(Vector::bits(reduced.exp_r), exponent));
}

// A row of logits, next to each other.
template <class Type>
struct Logits {
  const typename Type::Storage *x;
  int64_t experts;
  int64_t next;  // from here to the logits that will be read a block later

  F vector(int64_t i) const { return Vector::load(Type(), x + i); }
  F first_look(int64_t i) const {
    __builtin_prefetch(x + next + i);
    return vector(i);
  }
  F last(int64_t i) const { return Vector::load_part(Type(), x + i, experts - i); }
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

// Takes scores to where they go: a whole number of vectors of them.
struct Scores {
  float *scores;
  void write(int64_t i, F score) const { Vector::store(scores + i, score); }
};

// With a bias the choice is by another value than the score.
struct BiasedScores {
  float *scores;
  const float *bias;
  float *choice;
  void write(int64_t i, F score) const {
    Vector::store(scores + i, score);
    Vector::store(choice + i, Vector::add(score, Vector::load(Float32(), bias + i)));
  }
};

template <class Type, class Destination>
void sigmoid_row(Logits<Type> logits, Destination to) {
  int64_t i = 0;
  for (; i + width <= logits.experts; i += width) to.write(i, sigmoid(logits.first_look(i)));
  if (i < logits.experts) to.write(i, sigmoid(logits.last(i)));
}

// A softmax takes three walks over the row; the kernel takes each over several rows, which hides their latencies.
template <class Type>
float maximum(Logits<Type> logits) {
  const F lowest = Vector::set(-infinity);
  F even = lowest, odd = lowest;
  int64_t i = 0;
  for (; i + 2 * width <= logits.experts; i += 2 * width) {
    even = Vector::max(logits.first_look(i), even);  // NaN is passed over
    odd = Vector::max(logits.first_look(i + width), odd);
  }
  if (i + width <= logits.experts) even = Vector::max(logits.first_look(i), even), i += width;
  if (i < logits.experts) odd = Vector::max(Vector::head(logits.last(i), logits.experts - i, lowest), odd);
  return first_lane(reduce(Vector::max(even, odd), Vector::max));
}

// Returns the sum.
template <class Type>
double exponentials(Logits<Type> logits, float maximum, float *exponentials) {
  const F largest = Vector::set(maximum);
  Vector::Sum sum;
  const auto write = [&](int64_t i, F x) {
    const F e = exp_times_2_64(Vector::sub(x, largest));
    Vector::store(exponentials + i, e);
    return e;
  };
  int64_t i = 0;
  for (; i + 4 * width <= logits.experts; i += 4 * width) {  // pairs of pairs first: few roundings, few sums in double
    const F first = Vector::add(write(i, logits.vector(i)), write(i + width, logits.vector(i + width)));
    const int64_t j = i + 2 * width;
    const F second = Vector::add(write(j, logits.vector(j)), write(j + width, logits.vector(j + width)));
    sum.add(Vector::add(first, second));
  }
  for (; i + width <= logits.experts; i += width) sum.add(write(i, logits.vector(i)));
  if (i < logits.experts) sum.add(Vector::head(write(i, logits.last(i)), logits.experts - i, Vector::set(0.0f)));
  return sum.total();
}

// Divides by the sum: multiplies by its reciprocal, of which a second float has what the first has no room for.
template <class Destination>
void divide_row(int64_t experts, double sum, Destination to) {
  const auto reciprocal = static_cast<float>(1 / sum);
  const F factor = Vector::set(reciprocal), rest = Vector::set(static_cast<float>(1 / sum - reciprocal));
  for (int64_t i = 0; i < experts; i += width) {
    const F e = Vector::load(Float32(), to.scores + i);
    to.write(i, Vector::fma(e, rest, Vector::mul(e, factor)));
  }
}

}  // namespace
}  // namespace moe_gating
