// What is behind the classes of ge_api.h that more than one file looks into.
#pragma once

#include "ge_api.h"
#include "model.h"

namespace ge {

constexpr Status kSuccess = 0;

class GraphImpl {
 public:
  std::shared_ptr<host_cann::Model> model;
  std::string bytes;  // as it was loaded, for SaveToFile
};

class CompiledGraphSummary::SummaryData {
 public:
  bool is_static;
  std::vector<host_cann::View> outputs;  // of a static graph
};

}  // namespace ge
