// What is behind the graphs of ge_api.h.
#pragma once

#include "entry_point.h"
#include "ge_api.h"
#include "model.h"

namespace ge {

class GraphImpl {
 public:
  std::shared_ptr<const host_cann::Model> model;
  std::string bytes;  // as it was loaded, for SaveToFile
};

// An entry point of the graph engine.
template <class Body>
Status Returned(const char *entry_point, const Body &body) {
  return static_cast<Status>(host_cann::EntryPoint(entry_point, body));
}

}  // namespace ge
