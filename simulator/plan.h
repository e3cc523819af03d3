// What one run of a graph does: the calls of its nodes, with all sizes known and a place for every result.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "call.h"
#include "model.h"

namespace host_cann {

// A graph's input in one run. Without a run (while a graph is compiled) the address is null.
struct Feed {
  View view;
  bool on_host = false;  // then its value may decide sizes
};

struct Plan {
  std::vector<View> outputs;  // dtypes and sizes of the graph's results
  std::vector<Call> calls;
  std::vector<std::shared_ptr<void>> kept;  // constants and intermediate results, as long as the calls may run

  int Execute(int device, uint64_t stream) const;
};

// The device address for a result of the graph; null when there is none to be had.
using Place = std::function<uint8_t *(size_t output, const View &view)>;

// 0, an error, or kNeedsValue. Without `place` only the outputs' dtypes and sizes are found.
int MakePlan(const std::shared_ptr<const Model> &model, const std::vector<Feed> &feeds, const Place &place, Plan *plan);

}  // namespace host_cann
