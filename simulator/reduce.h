// Sums and maxima along dimensions.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "elementwise.h"

namespace host_cann {

struct Sum {
  static constexpr double kStart = 0;
  static double of(double a, double b) { return a + b; }
};
struct Prod {
  static constexpr double kStart = 1;
  static double of(double a, double b) { return a * b; }
};
struct All {
  static constexpr double kStart = 1;
  static double of(double a, double b) { return a != 0 && b != 0 ? 1 : 0; }
};
struct Any {
  static constexpr double kStart = 0;
  static double of(double a, double b) { return a != 0 || b != 0 ? 1 : 0; }
};
struct Max {
  static constexpr double kStart = -std::numeric_limits<double>::infinity();
  static double of(double a, double b) { return a != a || a > b ? a : b; }
};
struct Min {
  static constexpr double kStart = std::numeric_limits<double>::infinity();
  static double of(double a, double b) { return a != a || a < b ? a : b; }
};

// x's dimensions as y counts them: which of them disappear, negative numbers from the end. False: no such dimension.
bool ReducedDimensions(size_t rank, const std::vector<int64_t> &axes, std::vector<bool> *reduced);
std::vector<int64_t> ReducedSizes(const std::vector<int64_t> &sizes, const std::vector<bool> &reduced, bool keep);

// In double, rounded once: what a device's own order of additions gives differs in the last bits.
template <class Function>
void Reduce(const View &x, const std::vector<bool> &reduced, const View &y) {
  auto values = Values<double>(x, x.sizes);
  std::vector<double> results(static_cast<size_t>(y.count()), Function::kStart);
  std::vector<int64_t> steps(x.sizes.size(), 0), index(x.sizes.size(), 0);
  int64_t step = 1;
  for (size_t d = steps.size(); d-- > 0;) {
    if (reduced[d]) continue;
    steps[d] = step;
    step *= x.sizes[d];
  }
  int64_t at = 0;
  for (const double value : values) {
    auto &result = results[static_cast<size_t>(at)];
    result = Function::of(result, value);
    for (size_t d = index.size(); d-- > 0;) {
      at += steps[d];
      if (++index[d] < x.sizes[d]) break;
      at -= steps[d] * x.sizes[d];
      index[d] = 0;
    }
  }
  Copy(Over(&results, y.sizes), y);
}

}  // namespace host_cann
