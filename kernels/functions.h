// The functions that make scores of logits, of a vector. Vector is the one that was included before.
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

// log(1 + e) / e for e from 0 to 1, minimax, relative, within 2^-24 and 1 at 0.
inline F log1p_over(F e) {
  F sum = Vector::fma(e, Vector::set(0x1.5f96dep-8f), Vector::set(-0x1.ec9920p-6f));
  for (const float coefficient :
       {0x1.446bfep-4f, -0x1.19ad8cp-3f, 0x1.884452p-3f, -0x1.fd1320p-3f, 0x1.5535dap-2f, -0x1.ffff14p-2f, 1.0f})
    sum = Vector::fma(sum, e, Vector::set(coefficient));
  return sum;
}

// sqrt(max(x, 0) + log(1 + exp(-|x|))) where the exponential underflows: below 0 that is exp(x / 2) * sqrt(log(1 + e) / e)
// with e = exp(x), which underflows no sooner than the root does.
[[gnu::noinline]] inline F sqrt_softplus_far_out(F x) {
  const F half = Vector::mul(Vector::min(Vector::sub(Vector::set(0.0f), x), x), Vector::set(0.5f));
  const F root = Vector::mul(exp_times_2_64(half), Vector::set(0x1p-64f));
  const F e = Vector::mul(root, root), slope = log1p_over(e);
  const I sign = Vector::bits(x);
  const F under_root = Vector::where_less(sign, 0, slope, Vector::fma(e, slope, x));
  return Vector::mul(Vector::sqrt(under_root), Vector::where_less(sign, 0, root, Vector::set(1.0f)));
}

inline F sqrt_softplus(F x) {
  const F least = Vector::set(-87.0f);
  const Reduced reduced = reduce<1>(Vector::max(least, Vector::min(Vector::sub(Vector::set(0.0f), x), x)));
  const F e = Vector::mul(reduced.exp_r, power_of_2<0>(reduced.n));
  const F root = Vector::sqrt(Vector::fma(e, log1p_over(e), Vector::max(x, Vector::set(0.0f))));
  if (!__builtin_expect(Vector::any_less(x, least), 0)) return root;
  // Each lane its own: it may belong to another row. NaN is one either way.
  const I far_out = Vector::count_greater(Vector::set(int32_t{0}), least, x);
  return Vector::where_less(far_out, 1, root, sqrt_softplus_far_out(x));
}

}  // namespace
}  // namespace moe_gating
