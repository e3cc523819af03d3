// What the graph engine says of an operator's inputs, attributes and outputs to those who make converters from it.
#include <utility>
#include <vector>

#include "ge_api.h"
#include "node_types.h"
#include "operations.h"

namespace host_cann {
namespace {

using Pairs = std::vector<std::pair<ge::AscendString, ge::AscendString>>;

// The attributes of a name have one type, but for those of Squeeze and Shape; what is not here is an integer.
struct Typed {
  const char *type, *attributes;
};
constexpr Typed kTypes[] = {
    {"VT_BOOL",
     "adj_x1 adj_x2 complex_conj descending exclusive half_to_float is_preprocessed keep_dims keepdim largest "
     "negative_index_support "
     "noop_with_empty_axes out_flag output_softmax_result_flag reverse sorted stable transpose_x1 transpose_x2 "
     "truncate "
     "validate_indices"},
    {"VT_DATA_TYPE", "dtype indices_dtype"},
    {"VT_FLOAT", "base eps epsilon p routed_scaling_factor scale shift value"},
    {"VT_LIST_INT", "axes indices_mask"},
    {"VT_STRING", "reduction sort_policy"},
};

const char *TypeOf(const std::string &node, const std::string &attribute) {
  if (node == "Squeeze") return "VT_LIST_INT";
  if (node == "Shape") return "VT_INT";
  for (const auto &[type, attributes] : kTypes) {
    if (HasName(Parameters(attributes), attribute)) return type;
  }
  return "VT_INT";
}

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
      attributes.emplace_back(attribute.name.c_str(), TypeOf(type, attribute.name));
  }));
}

}  // namespace host_cann
