// The types of attributes.
#include "node_types.h"

namespace host_cann {
namespace {

// The attributes of a name have one type, but for those of Squeeze, Shape and Const; what is not here is an integer.
struct Typed {
  const char *type, *attributes;
};
constexpr Typed kTypes[] = {
    {"VT_BOOL",
     "adj_x1 adj_x2 complex_conj descending exclusive half_to_float is_preprocessed keep_dims keepdim largest "
     "negative_index_support noop_with_empty_axes out_flag output_softmax_result_flag reverse sorted stable "
     "transpose_x1 transpose_x2 truncate validate_indices"},
    {"VT_DATA_TYPE", "dtype indices_dtype"},
    {"VT_FLOAT", "base eps epsilon p routed_scaling_factor scale shift value"},
    {"VT_LIST_INT", "axes indices_mask"},
    {"VT_STRING", "reduction sort_policy"},
};

}  // namespace

const char *AttributeType(const std::string &type, const std::string &attribute) {
  if (type == "Squeeze") return "VT_LIST_INT";
  if (type == "Shape") return "VT_INT";
  if (type == "Const") return "VT_TENSOR";
  for (const auto &[kind, attributes] : kTypes) {
    if (HasName(Parameters(attributes), attribute)) return kind;
  }
  return "VT_INT";
}

}  // namespace host_cann
