// What the graph engine says of an operator's inputs, attributes and outputs to those who make converters from it.
#include <utility>
#include <vector>

#include "ge_api.h"
#include "node_types.h"
#include "operations.h"

namespace host_cann {
namespace {

using Pairs = std::vector<std::pair<ge::AscendString, ge::AscendString>>;

const char *KindOf(char mark) { return mark == '*' ? "dynamic" : mark == '?' || mark == '-' ? "optional" : "required"; }

// Of the release that the stand-in stands for, as far as it is an operator of this project.
bool IsThere(const std::string &type) { return type != "MoeGatingTopKBackward" || operations::HasGradient(); }
bool IsThere(const std::string &type, const std::string &input) {
  return type != "MoeGatingTopK" || (input != "input_ids" && input != "tid2eid") || operations::HasHashRouting();
}

}  // namespace

EXPORT ge::Status GetRegisteredIrDef(const char *type, Pairs &inputs, Pairs &outputs, Pairs &attributes) {
  return static_cast<ge::Status>(EntryPoint("GetRegisteredIrDef", [&] {
    const auto *found = FindNodeType(type);
    if (found == nullptr || found->describe == nullptr || !IsThere(type))
      throw NotImplemented("the operator " + std::string(type));
    for (const auto &input : Parameters(found->inputs)) {
      if (IsThere(type, input.name)) inputs.emplace_back(input.name.c_str(), KindOf(input.mark));
    }
    for (const auto &output : Parameters(found->outputs))
      outputs.emplace_back(output.name.c_str(), KindOf(output.mark));
    for (const auto &attribute : Parameters(found->attributes))
      attributes.emplace_back(attribute.name.c_str(), AttributeType(type, attribute.name));
  }));
}

}  // namespace host_cann
