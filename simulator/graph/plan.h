// What one run of a graph does: the calls of its nodes, with all sizes known and a place for every result.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "call.h"
#include "model.h"

namespace host_cann {

struct Plan {
  std::vector<View> outputs;  // dtypes and sizes of the graph's results
  std::vector<Call> calls;
  std::vector<std::shared_ptr<const void>> kept;  // constants and intermediate results, as long as the calls may run
};

// The device address for a result of the graph; null when there is none to be had.
using Places = std::function<uint8_t *(size_t output, const View &view)>;

// Refuses with kNeedsValue what only a run can know. The feeds are the graph's inputs; without `place` only the
// outputs' dtypes and sizes are found, and the feeds need no data.
Plan MakePlan(const std::shared_ptr<const Model> &model, const std::vector<Operand> &feeds, const Places &place);

}  // namespace host_cann
