// Functions of one or two numbers, applied to tensors with broadcasting: each is written once, for every dtype.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "tensor.h"

namespace host_cann {

// Element by element with broadcasting of `from`, converting the dtype as torch does. Strides make it a transposition
// too.
void Copy(const View &from, const View &to);

// The sizes of a and b together, by torch's rules, or a Refusal.
std::vector<int64_t> BroadcastSizes(const std::vector<int64_t> &a, const std::vector<int64_t> &b);

// What numbers of a dtype are computed in, as a device does: float32 for its halves, int64 for integers and bool.
enum class Arithmetic { kFloat, kDouble, kInteger };
Arithmetic ArithmeticOf(DType dtype);

// A comparison gives bool, a division of integers float32: real results are computed as what they become.
inline Arithmetic ArithmeticOf(Arithmetic given, const View &result) {
  const auto wanted = ArithmeticOf(result.dtype);
  return wanted == Arithmetic::kInteger ? given : wanted;
}

// Calls use(T{}) with float, double or int64_t.
template <class Use>
void WithArithmetic(Arithmetic arithmetic, const Use &use) {
  switch (arithmetic) {
    case Arithmetic::kFloat: return use(float{});
    case Arithmetic::kDouble: return use(double{});
    case Arithmetic::kInteger: return use(int64_t{});
  }
}

// A number as one of another type. An integer cannot hold NaN, nor what is too large: it becomes the smallest one, as on
// x86.
template <class To, class From>
To Converted(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && !std::is_same_v<To, bool>) {
    using Wide = std::conditional_t<sizeof(To) == 8, int64_t, int32_t>;
    constexpr auto kSmallest = std::numeric_limits<Wide>::min();
    const double cut = std::trunc(static_cast<double>(value));
    const bool fits = cut >= static_cast<double>(kSmallest) && cut < -static_cast<double>(kSmallest);
    return static_cast<To>(fits ? static_cast<Wide>(cut) : kSmallest);
  } else {
    return static_cast<To>(value);
  }
}

// Between integers arithmetic is modulo 2^64, as on a device.
template <class T>
auto Modular(T value) {
  if constexpr (std::is_same_v<T, int64_t>) {
    return static_cast<uint64_t>(value);
  } else {
    return value;
  }
}

template <class T>
auto Real(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<double>(value);
  } else {
    return value;
  }
}

template <class T>
View Over(const std::vector<T> &values, const std::vector<int64_t> &sizes) {
  const auto dtype = std::is_same_v<T, float>    ? DType::kFloat
                     : std::is_same_v<T, double> ? DType::kDouble
                                                 : DType::kInt64;
  return Contiguous(reinterpret_cast<uint8_t *>(const_cast<T *>(values.data())), dtype, sizes);
}

// The elements of `view`, broadcast to `sizes`.
template <class T>
std::vector<T> Values(const View &view, const std::vector<int64_t> &sizes) {
  std::vector<T> values(static_cast<size_t>(Count(sizes)));
  Copy(view, Over(values, sizes));
  return values;
}

template <class T>
std::vector<T> Values(const View &view) {
  return Values<T>(view, view.sizes);
}

template <class Function>
void Map(const View &x, const View &y) {
  WithArithmetic(ArithmeticOf(ArithmeticOf(x.dtype), y), [&](auto zero) {
    using T = decltype(zero);
    auto values = Values<T>(x, y.sizes);
    for (auto &value : values) value = Converted<T>(Function::of(value));
    Copy(Over(values, y.sizes), y);
  });
}

// Function(a, scale * b).
template <class Function>
void Combine(const View &a, const View &b, const View &y, double scale = 1) {
  WithArithmetic(ArithmeticOf(std::min(ArithmeticOf(a.dtype), ArithmeticOf(b.dtype)), y), [&](auto zero) {
    using T = decltype(zero);
    auto left = Values<T>(a, y.sizes);
    auto right = Values<T>(b, y.sizes);
    if (scale != 1) {
      for (auto &value : right) value = Converted<T>(static_cast<double>(value) * scale);
    }
    for (size_t i = 0; i < left.size(); ++i) left[i] = Converted<T>(Function::of(left[i], right[i]));
    Copy(Over(left, y.sizes), y);
  });
}

// a / b rounded down or towards zero: exact between integers, where a division by 0 gives 0.
template <class T>
auto Quotient(T a, T b, bool down) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return T{0};
    if (b == -1) return static_cast<T>(-Modular(a));
    return a / b - (down && a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
  } else {
    const double quotient = static_cast<double>(a) / static_cast<double>(b);
    return down ? std::floor(quotient) : std::trunc(quotient);
  }
}

// What such a quotient leaves.
template <class T>
auto Rest(T a, T b, bool down) {
  return Converted<T>(Modular(a) - Modular(b) * Modular(Quotient(a, b, down)));
}

// a to the power of b: between integers modulo 2^64, and rounded towards zero where b is negative.
template <class T>
T Power(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b < 0) return a == 1 || (a == -1 && b % 2 == 0) ? 1 : a == -1 ? -1 : 0;
    uint64_t power = 1, square = static_cast<uint64_t>(a);
    for (; b > 0; b /= 2, square *= square) power *= b % 2 != 0 ? square : 1;
    return static_cast<T>(power);
  } else {
    return std::pow(a, b);
  }
}

template <class T>
T Ratio(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return Quotient(a, b, false);
  } else {
    return a / b;
  }
}

#define FUNCTION(name, parameters, expression) \
  struct name {                                \
    template <class T>                         \
    static auto of parameters {                \
      return expression;                       \
    }                                          \
  };
FUNCTION(Add, (T a, T b), static_cast<T>(Modular(a) + Modular(b)))
FUNCTION(Sub, (T a, T b), static_cast<T>(Modular(a) - Modular(b)))
FUNCTION(Mul, (T a, T b), static_cast<T>(Modular(a) * Modular(b)))
FUNCTION(Div, (T a, T b), Ratio(a, b))
FUNCTION(FloorDiv, (T a, T b), Quotient(a, b, true))
FUNCTION(TruncDiv, (T a, T b), Quotient(a, b, false))
FUNCTION(Mod, (T a, T b), Rest(a, b, false))
FUNCTION(Remainder, (T a, T b), Rest(a, b, true))
FUNCTION(Pow, (T a, T b), Power(a, b))
FUNCTION(Maximum, (T a, T b), a != a || a > b ? a : b)
FUNCTION(Minimum, (T a, T b), a != a || a < b ? a : b)
FUNCTION(Equal, (T a, T b), a == b)
FUNCTION(NotEqual, (T a, T b), a != b)
FUNCTION(Less, (T a, T b), a < b)
FUNCTION(LessEqual, (T a, T b), a <= b)
FUNCTION(Greater, (T a, T b), a > b)
FUNCTION(GreaterEqual, (T a, T b), a >= b)
FUNCTION(LogicalAnd, (T a, T b), a != 0 && b != 0)
FUNCTION(LogicalOr, (T a, T b), a != 0 || b != 0)
FUNCTION(LogicalNot, (T x), x == 0)
FUNCTION(BitwiseNot, (T x), ~static_cast<int64_t>(x))
FUNCTION(BitwiseAnd, (T a, T b), static_cast<int64_t>(a) & static_cast<int64_t>(b))
FUNCTION(BitwiseOr, (T a, T b), static_cast<int64_t>(a) | static_cast<int64_t>(b))
FUNCTION(BitwiseXor, (T a, T b), static_cast<int64_t>(a) ^ static_cast<int64_t>(b))
FUNCTION(Neg, (T x), static_cast<T>(-Modular(x)))
FUNCTION(Abs, (T x), x < 0 ? static_cast<T>(-Modular(x)) : x)
FUNCTION(Sign, (T x), x != x ? x : static_cast<T>((x > 0) - (x < 0)))
FUNCTION(Exp, (T x), std::exp(x))
FUNCTION(Ln, (T x), std::log(x))
FUNCTION(Log1p, (T x), std::log1p(x))
FUNCTION(Sqrt, (T x), std::sqrt(x))
FUNCTION(Ceil, (T x), std::ceil(x))
FUNCTION(Floor, (T x), std::floor(x))
FUNCTION(Reciprocal, (T x), 1 / static_cast<double>(x))
FUNCTION(Sigmoid, (T x), 1 / (1 + std::exp(-Real(x))))
FUNCTION(SigmoidGradient, (T gradient, T y), Real(gradient) * Real(y) * (1 - Real(y)))
FUNCTION(SigmoidGrad, (T y, T gradient), Real(gradient) * Real(y) * (1 - Real(y)))
FUNCTION(Silu, (T x), x / (1 + std::exp(-Real(x))))
FUNCTION(IsFinite, (T x), std::isfinite(static_cast<double>(x)))
#undef FUNCTION

}  // namespace host_cann
