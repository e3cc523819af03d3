// The node types that a graph may hold: one table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "call.h"
#include "model.h"

namespace host_cann {

constexpr int kNeedsValue = -1;  // the sizes depend on a value that only the device has, or only a run brings

// One node with the inputs of one run (or of none: then sizes may be all that is known). A node type's function
// describes the outputs and the work.
class NodeCall {
 public:
  explicit NodeCall(const Node &node_) : node(node_) {}

  const Node &node;
  Views inputs;             // data only where known
  std::vector<bool> known;  // the value is on the host already: a constant, a size, what follows from them
  std::vector<View> outputs;
  Work run;
  bool sizes_suffice = false;  // the result follows from the inputs' sizes alone

  bool Has(size_t input) const { return input < inputs.size() && inputs[input].has_value(); }
  const View &In(size_t input) const { return *inputs[input]; }
  void Out(DType dtype, const std::vector<int64_t> &sizes) { outputs.push_back(Contiguous(nullptr, dtype, sizes)); }
  int Integers(size_t input, std::vector<int64_t> *values) const;  // or kNeedsValue
  int Invalid(const std::string &why) const;
};

struct NodeType {
  const char *name;
  const char *inputs;      // names in their order; ? optional, * any number of them
  const char *attributes;  // names; ! required
  const char *outputs;
  int (*describe)(NodeCall &);  // null: the planner's own business
};

const NodeType *FindNodeType(const std::string &name);
bool HasName(const char *names, const std::string &name);  // in one of the lists above
std::vector<std::string> Names(const char *names);         // without their marks

// Whether the node is of a known type and has its inputs, attributes and outputs; 0 or the code of what was said.
int CheckNode(const Node &node);

}  // namespace host_cann
