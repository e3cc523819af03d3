#include "elementwise.h"

namespace host_cann {

Arithmetic ArithmeticOf(DType dtype) {
  if (dtype == DType::kDouble) return Arithmetic::kDouble;
  const bool real = dtype == DType::kFloat || dtype == DType::kHalf || dtype == DType::kBFloat16;
  return real ? Arithmetic::kFloat : Arithmetic::kInteger;
}

bool BroadcastSizes(const View &a, const View &b, std::vector<int64_t> *sizes) {
  const auto &longer = a.sizes.size() >= b.sizes.size() ? a.sizes : b.sizes;
  const auto &shorter = a.sizes.size() >= b.sizes.size() ? b.sizes : a.sizes;
  *sizes = longer;
  const size_t missing = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    auto &size = (*sizes)[missing + i];
    if (size == 1) size = shorter[i];
    if (shorter[i] != 1 && shorter[i] != size) return false;
  }
  return true;
}

}  // namespace host_cann
