// A graph as torchair hands it over: the nodes of a serialised ModelDef.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "call.h"

namespace host_cann {

struct Node {
  struct Input {
    std::string name;
    int node = -1, output = 0;  // the producer's place in the model; -1: an optional input that is not fed
  };
  std::string name, type;
  std::vector<Input> inputs;
  Attributes attributes;  // without those that torchair notes for itself
  std::vector<std::string> output_names;
  View described;  // its first output as the model describes it; -1 is an unknown size; no strides

  const Attribute *Find(const std::string &attribute) const;  // null without it
  size_t index() const;                                       // of Data: which input of the graph
};

struct Model {
  std::vector<Node> nodes;  // producers before their consumers
};

// Refused is what is not a model whose nodes all exist.
std::shared_ptr<const Model> ParseModel(const std::string &bytes);

}  // namespace host_cann
