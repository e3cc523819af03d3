// Step 1: the scores of a row of logits. Vector is the one that was included before.
#pragma once

#include <algorithm>
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

// exp(x) = 2^(n / steps) * exp(r) with n = round(x / step), so that |r| is at most half a step. A vector that looks
// powers of two up in a table of steps gets by with a shorter polynomial.
constexpr int steps = 1 << Vector::table_bits;

struct Reduced {
  F exp_r;  // within 1.5 units of 2^-24
  I n;      // in the low bits; what is above them does not survive the shift to the exponent
};

// Minimax on half a step, relative, 1 at 0. For exp(x) sign is 1, for exp(-x) it is -1, at no cost.
template <int sign>
F exp_of_rest(F r) {
  F exp_r;
  if constexpr (steps >= 8) {
    exp_r = Vector::fma(r, Vector::set(sign * 0x1.555656p-3f), Vector::set(0x1.000874p-1f));
  } else {
    exp_r = Vector::fma(r, Vector::set(0x1.6ae6e0p-10f), Vector::set(sign * 0x1.1267d8p-7f));
    exp_r = Vector::fma(exp_r, r, Vector::set(0x1.555824p-5f));
    exp_r = Vector::fma(exp_r, r, Vector::set(sign * 0x1.555418p-3f));
    exp_r = Vector::fma(exp_r, r, Vector::set(0x1.fffffcp-2f));
  }
  exp_r = Vector::fma(exp_r, r, Vector::set(sign * 1.0f));
  return Vector::fma(exp_r, r, Vector::set(1.0f));
}

// |x| <= 200, or NaN, which exp_r then is.
template <int sign>
Reduced reduce(F x) {
  const F round_to_integer = Vector::set(0x1.8p23f);  // a sum with it has no bits for a fraction
  const F shifted = Vector::fma(x, Vector::set(sign * 1.44269504f * steps), round_to_integer);
  const F n = Vector::sub(shifted, round_to_integer);
  // A step in two parts, the first with few enough bits that its product with n is exact.
  F r = Vector::fma(n, Vector::set(sign * -0.693359375f / steps), x);
  r = Vector::fma(n, Vector::set(sign * 2.12194440e-4f / steps), r);
  return {exp_of_rest<sign>(r), Vector::bits(shifted)};
}

// The bits of 2^(exponent + i / steps), less what i adds to the exponent when n is shifted there.
template <int exponent>
struct Powers {
  alignas(64) int32_t of[16] = {};
  constexpr Powers() {
    double power = 1, step = 2;
    for (int i = 1; i < steps; i *= 2) step = square_root(step);
    for (int i = 0; i < steps; ++i, power *= step) {
      const auto fraction = static_cast<int32_t>((power - 1) * (1 << 23) + 0.5);
      of[i] = ((127 + exponent) << 23) + fraction - (i << (23 - Vector::table_bits));
    }
  }
  static constexpr double square_root(double x) {
    double root = x;
    for (int i = 0; i < 8; ++i) root = (root + x / root) / 2;
    return root;
  }
};

// 2^(exponent + n / steps)
template <int exponent>
F power_of_2(I n) {
  static constexpr Powers<exponent> powers;
  return Vector::floats(Vector::add(Vector::entry(powers.of, n), Vector::shift_to_exponent(n)));
}

inline F sigmoid(F x) {
  // Constants come first, so that NaN passes. At the lower limit, -128 ln 2, the exponential is just infinite and the sigmoid
  // 0, as of all that is further out.
  x = Vector::max(Vector::set(-88.722839f), Vector::min(Vector::set(88.0f), x));
  const Reduced reduced = reduce<-1>(x);
  const F one = Vector::set(1.0f);
  return Vector::div(one, Vector::fma(reduced.exp_r, power_of_2<0>(reduced.n), one));
}

// 2^64 exp(x) for x <= 0: what is subnormal or 0 without the factor stays normal, and a softmax divides the factor away.
inline F exp_times_2_64(F x) {
  const Reduced reduced = reduce<1>(Vector::max(Vector::set(-130.0f), x));
  return Vector::mul(reduced.exp_r, power_of_2<64>(reduced.n));
}

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

// Writes a whole number of vectors of scores.
template <class Type>
MOE_GATING_INLINE void sigmoid_row(Logits<Type> logits, float *scores) {
  walk(logits.experts,
       [&](int64_t, int64_t i, auto size) { Vector::store(scores + i, sigmoid(logits.first_look(i, size))); });
}

// The same, and the maxima of the lanes of what the scores and the bias sum to.
template <bool biased, class Type>
MOE_GATING_INLINE void sigmoid_row(Logits<Type> logits, const float *bias, float *scores, float *maxima) {
  Maxima largest;
  walk(logits.experts, [&](int64_t part, int64_t i, auto size) {
    const F score = sigmoid(logits.first_look(i, size));
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
MOE_GATING_INLINE void divide_row(int64_t experts, float reciprocal, const float *bias, float *scores, float *maxima) {
  Maxima largest;
  walk(experts, [&](int64_t part, int64_t i, auto size) {
    const F score = Vector::mul(Vector::load(scores + i), Vector::set(reciprocal));
    Vector::store(scores + i, score);
    const F choice = Vector::add(score, Vector::load(bias + i));
    largest.see(part, size.head(choice, Vector::set(-infinity)));
  });
  largest.store(maxima);
}

}  // namespace
}  // namespace moe_gating
