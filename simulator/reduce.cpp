#include "reduce.h"

namespace host_cann {

bool ReducedDimensions(size_t rank, const std::vector<int64_t> &axes, std::vector<bool> *reduced) {
  reduced->assign(rank, axes.empty());
  const auto count = static_cast<int64_t>(rank);
  for (const auto axis : axes) {
    if (axis < -count || axis >= count) return false;
    (*reduced)[static_cast<size_t>(axis < 0 ? axis + count : axis)] = true;
  }
  return true;
}

std::vector<int64_t> ReducedSizes(const std::vector<int64_t> &sizes, const std::vector<bool> &reduced, bool keep) {
  std::vector<int64_t> left;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (!reduced[d]) left.push_back(sizes[d]);
    if (reduced[d] && keep) left.push_back(1);
  }
  return left;
}

}  // namespace host_cann
