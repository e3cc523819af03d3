// graph/ is the graph door: what the graph engine's C++ interface is asked becomes calls of operations, put on a stream of
// the runtime. It knows these two, and nothing of the aclnn door.
//
// Here: the node types that a graph may hold, one table.
#pragma once

#include <string>

#include "call.h"
#include "model.h"

namespace host_cann {

struct NodeType {
  const char *name;
  const char *inputs;        // in their order; this and the next as Parameters() reads them
  const char *attributes;    //
  const char *outputs;       // in their order
  void (*describe)(Call &);  // null: the planner's own business
};

const NodeType *FindNodeType(const std::string &name);

// Of an attribute, as GetRegisteredIrDef names it: VT_INT, VT_LIST_INT, ...
const char *AttributeType(const std::string &type, const std::string &attribute);

// Refuses a node of an unknown type, or without the inputs, attributes and outputs of its type, each of its own kind.
void CheckNode(const Node &node);

// Refuses again what is being refused, with the node's name and the graph engine's codes.
[[noreturn]] void RefuseNode(const Node &node);

}  // namespace host_cann
