// A graph as torchair hands it over: the nodes of a serialised ModelDef.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor.h"

namespace host_cann {

struct Attribute {
  std::string json = "null";  // for the log
  int64_t integer = 0;        // of an int, a bool or a dtype
  float real = 0;
  std::string text;
  std::vector<int64_t> integers;      // of a list
  std::shared_ptr<std::string> data;  // of a tensor: its bytes, and what they are
  View view;
};

struct Node {
  struct Input {
    int node = -1, output = 0;  // the producer's place in the model; -1: an optional input that is not fed
    std::string name;
  };
  std::string name, type;
  std::vector<Input> inputs;
  std::map<std::string, Attribute> attributes;
  std::vector<std::string> output_names;
  View described;  // its first output as the model describes it; -1 is an unknown size

  int64_t Integer(const char *attribute, int64_t otherwise = 0) const;
  float Real(const char *attribute, float otherwise) const;
  std::vector<int64_t> Integers(const char *attribute) const;  // empty without the attribute
};

struct Model {
  std::vector<Node> nodes;  // producers before their consumers
};

// Null, with the reason in LastError, when the bytes are not a model whose nodes all exist.
std::shared_ptr<Model> ParseModel(const void *bytes, size_t size);

}  // namespace host_cann
