#include "node_types.h"

#include <algorithm>
#include <sstream>

#include "nodes.h"
#include "ops.h"
#include "refuse.h"

namespace host_cann {
namespace {

using namespace nodes;  // NOLINT: this is their table

constexpr NodeType kNodeTypes[] = {
    {"Data", "", "index!", "y", nullptr},
    {"Const", "", "value!", "", nullptr},
    {"NetOutput", "input*", "", "", nullptr},
    {"Abs", "x", "", "y", OfOne<Abs>},
    {"Add", "x1 x2", "", "y", OfTwo<Add>},
    {"ArgMaxWithValue", "x", "dimension! keep_dims", "indice values", ArgMaxWithValue},
    {"BatchMatMul", "x1 x2", "adj_x1 adj_x2", "y", MatrixProduct},
    {"BroadcastTo", "x shape", "", "y", BroadcastTo},
    {"Cast", "x", "dst_type! truncate", "y", Cast},
    {"ConcatD", "x*", "concat_dim! N", "y", ConcatD},
    {"ConcatV2", "x*", "N", "y", ConcatV2},
    {"Div", "x1 x2", "", "y", OfTwo<Div>},
    {"Equal", "x1 x2", "", "y", Compare<Equal>},
    {"Exp", "x", "base scale shift", "y", OfOne<Exp>},
    {"ExpandDims", "x axis", "", "y", ExpandDims},
    {"Fill", "dims value", "", "y", Fill},
    {"FloorDiv", "x1 x2", "", "y", OfTwo<FloorDiv>},
    {"Gather", "x indices", "validate_indices batch_dims is_preprocessed negative_index_support", "y", Gather},
    {"GatherElements", "x index", "dim", "y", GatherElements},
    {"GatherV2", "x indices axis", "batch_dims is_preprocessed negative_index_support", "y", GatherV2},
    {"Greater", "x1 x2", "", "y", Compare<Greater>},
    {"GreaterEqual", "x1 x2", "", "y", Compare<GreaterEqual>},
    {"Identity", "x", "", "y", Identity},
    {"Less", "x1 x2", "", "y", Compare<Less>},
    {"LessEqual", "x1 x2", "", "y", Compare<LessEqual>},
    {"Log", "x", "base scale shift", "y", OfOne<Ln>},
    {"LogicalAnd", "x1 x2", "", "y", Compare<LogicalAnd>},
    {"LogicalNot", "x", "", "y", OfOne<LogicalNot>},
    {"LogicalOr", "x1 x2", "", "y", Compare<LogicalOr>},
    {"MaskedFill", "x mask value", "", "y", MaskedFill},
    {"MatMul", "x1 x2 bias?", "transpose_x1 transpose_x2", "y", MatrixProduct},
    {"MatMulV2", "x1 x2 bias? offset_w?", "transpose_x1 transpose_x2 offset_x", "y", MatrixProduct},
    {"Maximum", "x1 x2", "", "y", OfTwo<Maximum>},
    {"Minimum", "x1 x2", "", "y", OfTwo<Minimum>},
    {"Mod", "x1 x2", "", "y", OfTwo<Mod>},
    {"MoeGatingTopK", "x bias? input_ids? tid2eid?",
     "k! k_group group_count group_select_mode renorm norm_type out_flag routed_scaling_factor eps", "y expert_idx out",
     MoeGatingTopK},
    {"MoeGatingTopKSoftmaxV2", "x finished?", "k! renorm output_softmax_result_flag", "y expert_idx softmax_result",
     MoeGatingTopKSoftmaxV2},
    {"Mul", "x1 x2", "", "y", OfTwo<Mul>},
    {"Neg", "x", "", "y", OfOne<Neg>},
    {"NotEqual", "x1 x2", "", "y", Compare<NotEqual>},
    {"OnesLike", "x", "", "y", OnesLike},
    {"Pack", "x*", "N! axis", "y", Pack},
    {"RealDiv", "x1 x2", "", "y", OfTwo<Div>},
    {"ReduceMax", "x axes", "keep_dims", "y", ReduceTo<Max>},
    {"ReduceMin", "x axes", "keep_dims", "y", ReduceTo<Min>},
    {"ReduceProd", "x axes", "keep_dims", "y", ReduceTo<Prod>},
    {"ReduceSum", "x axes", "keep_dims", "y", ReduceTo<Sum>},
    {"Reshape", "x shape", "axis num_axes", "y", Reshape},
    {"ScatterElements", "data indices updates", "axis reduction", "y", ScatterElements},
    {"Select", "condition x1 x2", "", "y", Select},
    {"SelectV2", "condition then else", "", "result", Select},
    {"Shape", "x", "dtype", "y", Shape},
    {"Sigmoid", "x", "", "y", OfOne<Sigmoid>},
    {"SoftmaxV2", "x", "axes half_to_float", "y", SoftmaxV2},
    {"Sort", "x", "axis descending stable", "y1 y2", Sort},
    {"Sqrt", "x", "", "y", OfOne<Sqrt>},
    {"Squeeze", "x", "axis", "y", Squeeze},
    {"StridedSlice", "x begin end strides", "begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask", "y",
     StridedSlice},
    {"Sub", "x1 x2", "", "y", OfTwo<Sub>},
    {"TopKV2", "x k", "sorted dim largest indices_dtype sort_policy", "values indices", TopKV2},
    {"Transpose", "x perm", "", "y", Transpose},
    {"Unsqueeze", "x", "axes", "y", Unsqueeze},
    {"ZerosLike", "x", "", "y", ZerosLike},
};

int Refused(const Node &node, const std::string &why) {
  return Fail(kNotSupported, "graph node " + node.name + " of type " + node.type + ": " + why);
}

}  // namespace

int NodeCall::Integers(size_t input, std::vector<int64_t> *values) const {
  if (!known[input]) {
    Invalid("the value of input " + node.inputs[input].name + " must be known before the run");
    return kNeedsValue;
  }
  const View &view = In(input);
  values->resize(static_cast<size_t>(view.count()));
  Copy(view, Contiguous(reinterpret_cast<uint8_t *>(values->data()), DType::kInt64, view.sizes));
  return 0;
}

int NodeCall::Invalid(const std::string &why) const {
  return Fail(kInvalidParam, "graph node " + node.name + " of type " + node.type + ": " + why);
}

const NodeType *FindNodeType(const std::string &name) {
  const auto *end = std::end(kNodeTypes);
  const auto *found =
      std::find_if(std::begin(kNodeTypes), end, [&](const NodeType &type) { return name == type.name; });
  return found == end ? nullptr : found;
}

std::vector<std::string> Names(const char *names) {
  std::vector<std::string> all;
  std::istringstream words(names);
  for (std::string word; words >> word;) all.push_back(word.substr(0, word.find_first_of("?!*")));
  return all;
}

bool HasName(const char *names, const std::string &name) {
  const auto all = Names(names);
  return std::find(all.begin(), all.end(), name) != all.end();
}

int CheckNode(const Node &node) {
  const auto *type = FindNodeType(node.type);
  if (type == nullptr) {
    return Refused(
        node,
        "the host stand-in for CANN does not implement this type; add it to the table in simulator/node_types.cpp");
  }
  if (type->describe == nullptr) return 0;
  std::istringstream inputs(type->inputs), attributes(type->attributes);
  size_t given = 0;
  for (std::string name; inputs >> name;) {
    const bool optional = name.back() == '?';
    if (name.back() == '*') {  // any number: x0, x1, ...
      given = node.inputs.size();
      break;
    }
    if (optional) name.pop_back();
    const bool named = given < node.inputs.size() && node.inputs[given].name == name;
    if (!optional && (!named || node.inputs[given].node < 0)) return Refused(node, "input " + name + " is missing");
    if (named) ++given;
  }
  if (given < node.inputs.size())
    return Refused(node, "there is no input " + node.inputs[given].name + " in this place");
  for (std::string name; attributes >> name;) {
    if (name.back() == '!' && node.attributes.count(name.substr(0, name.size() - 1)) == 0) {
      return Refused(node, "attribute " + name.substr(0, name.size() - 1) + " is missing");
    }
  }
  for (const auto &[name, value] : node.attributes) {  // a leading _ marks what torchair notes for itself
    if (name[0] != '_' && !HasName(type->attributes, name)) return Refused(node, "there is no attribute " + name);
  }
  return node.output_names == Names(type->outputs) ? 0
                                                   : Refused(node, std::string("the outputs are not ") + type->outputs);
}

}  // namespace host_cann
