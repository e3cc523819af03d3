// Sums and maxima along dimensions.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "elementwise.h"

namespace host_cann {

template <class T>
constexpr T kLargest =
    std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();

// A function of two numbers of type T, and the number that it starts with.
#define REDUCTION(name, start, expression) \
  struct name {                            \
    template <class T>                     \
    static constexpr T kStart = start;     \
    template <class T>                     \
    static T of(T a, T b) {                \
      return expression;                   \
    }                                      \
  };
REDUCTION(Sum, 0, Add::of(a, b))
REDUCTION(Mean, 0, Add::of(a, b))
REDUCTION(Prod, 1, Mul::of(a, b))
REDUCTION(All, 1, a != 0 && b != 0 ? 1 : 0)
REDUCTION(Any, 0, a != 0 || b != 0 ? 1 : 0)
REDUCTION(Max, -kLargest<T>, a != a || a > b ? a : b)
REDUCTION(Min, kLargest<T>, a != a || a < b ? a : b)
#undef REDUCTION

// A dimension of `rank`, counted from the end if it is negative, or a Refusal. A number has one dimension, of one
// element.
int64_t Dimension(int64_t dim, size_t rank);

// Which dimensions disappear: those that `axes` names, all if it names none.
std::vector<bool> ReducedDimensions(size_t rank, const std::vector<int64_t> &axes);
std::vector<int64_t> ReducedSizes(const std::vector<int64_t> &sizes, const std::vector<bool> &reduced, bool keep);

// Exact between integers, otherwise in double and rounded once: what a device's own order of additions gives differs in
// the last bits.
template <class Function>
void Reduce(const View &x, const std::vector<bool> &reduced, const View &y) {
  View rows{x.data, x.dtype, {}, {}};  // the elements of a result one behind the other
  for (const bool last : {false, true}) {
    for (size_t d = 0; d < x.sizes.size(); ++d) {
      if (reduced[d] != last) continue;
      rows.sizes.push_back(x.sizes[d]);
      rows.strides.push_back(x.strides[d]);
    }
  }
  const bool mean = std::is_same_v<Function, Mean>;
  const bool exact = !mean && ArithmeticOf(ArithmeticOf(x.dtype), y) == Arithmetic::kInteger;
  WithArithmetic(exact ? Arithmetic::kInteger : Arithmetic::kDouble, [&](auto zero) {
    using T = decltype(zero);
    const auto values = Values<T>(rows);
    std::vector<T> results(static_cast<size_t>(y.count()), Function::template kStart<T>);
    const size_t length = results.empty() ? 0 : values.size() / results.size();
    for (size_t i = 0; i < values.size(); ++i) results[i / length] = Function::of(results[i / length], values[i]);
    if (mean) {
      for (auto &result : results) result = static_cast<T>(static_cast<double>(result) / static_cast<double>(length));
    }
    Copy(Over(results, y.sizes), y);
  });
}

}  // namespace host_cann
