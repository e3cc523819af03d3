#include "node_types.h"

#include <algorithm>

#include "operations.h"

namespace host_cann {
namespace {

constexpr int64_t kMostInputs = 65536;  // of a graph; it has the memory for as many as there are

using namespace operations;  // NOLINT: this is their table

constexpr NodeType kNodeTypes[] = {
    {"Data", "", "index!", "y", nullptr},
    {"Const", "", "value!", "", nullptr},
    {"NetOutput", "input*", "", "", nullptr},
    {"Abs", "x", "", "y", Unary<Abs>},
    {"Add", "x1 x2", "", "y", Binary<Add>},
    {"ArgMaxV2", "x dimension", "dtype!", "y", ExtremeAlong<true, -1, 0>},
    {"ArgMaxWithValue", "x", "dimension! keep_dims", "indice values", ExtremeAlong<true, 1, 0>},
    {"ArgMin", "x dimension", "dtype!", "y", ExtremeAlong<false, -1, 0>},
    {"ArgMinWithValue", "x", "dimension! keep_dims", "indice values", ExtremeAlong<false, 1, 0>},
    {"AxpyV2", "x1 x2 alpha", "", "y", Binary<Add>},
    {"BatchMatMul", "x1 x2", "adj_x1 adj_x2", "y", MatrixProduct},
    {"BroadcastTo", "x shape", "", "y", BroadcastTo},
    {"Cast", "x", "dst_type! truncate", "y", Cast},
    {"ClipByValueV2", "x clip_value_min clip_value_max", "", "y", Clamp},
    {"ConcatD", "x*", "concat_dim! N", "y", Concat},
    {"ConcatV2", "x* concat_dim", "N", "y", Concat},
    {"Cumsum", "x axis", "exclusive=0 reverse=0", "y", CumulativeSum},
    {"Div", "x1 x2", "", "y", Binary<Div>},
    {"Equal", "x1 x2", "", "y", Compare<Equal>},
    {"Exp", "x", "base=-1 scale=1 shift=0", "y", Unary<Exp>},
    {"Expand", "x shape", "", "y", BroadcastTo},
    {"ExpandDims", "x axis", "", "y", Expand},
    {"Fill", "dims value", "", "y", Fill},
    {"FloorDiv", "x1 x2", "", "y", Binary<FloorDiv>},
    {"FloorMod", "x1 x2", "", "y", Binary<Remainder>},
    {"Gather", "x indices", "validate_indices batch_dims=0 is_preprocessed negative_index_support", "y", Take},
    {"GatherElements", "x index", "dim", "y", GatherAlong},
    {"GatherV2", "x indices axis", "batch_dims=0 is_preprocessed negative_index_support", "y", Take},
    {"Greater", "x1 x2", "", "y", Compare<Greater>},
    {"GreaterEqual", "x1 x2", "", "y", Compare<GreaterEqual>},
    {"Identity", "x", "", "y", Identity},
    {"IndexByTensor", "x indices*", "indices_mask!", "y", IndexByTensor},
    {"Less", "x1 x2", "", "y", Compare<Less>},
    {"LessEqual", "x1 x2", "", "y", Compare<LessEqual>},
    {"Log", "x", "base=-1 scale=1 shift=0", "y", Unary<Ln>},
    {"Log1p", "x", "", "y", Unary<Log1p>},
    {"LogicalAnd", "x1 x2", "", "y", Compare<LogicalAnd>},
    {"LogicalNot", "x", "", "y", Unary<LogicalNot>},
    {"LogicalOr", "x1 x2", "", "y", Compare<LogicalOr>},
    {"LpNormV2", "x", "p axes keepdim epsilon=0", "y", Norm},
    {"MaskedFill", "x mask value", "", "y", MaskedFill},
    {"MatMul", "x1 x2 bias?", "transpose_x1 transpose_x2", "y", MatrixProduct},
    {"MatMulV2", "x1 x2 bias? offset_w-", "transpose_x1 transpose_x2 offset_x", "y", MatrixProduct},
    {"Maximum", "x1 x2", "", "y", Binary<Maximum>},
    {"Minimum", "x1 x2", "", "y", Binary<Minimum>},
    {"Mod", "x1 x2", "", "y", Binary<Mod>},
    {"MoeGatingTopK", "x bias? input_ids? tid2eid?",
     "k! k_group group_count group_select_mode renorm norm_type out_flag routed_scaling_factor eps", "y expert_idx out",
     MoeGatingTopK},
    {"MoeGatingTopKBackward", "x_norm grad_y expert_idx", "renorm norm_type routed_scaling_factor eps", "grad_x",
     MoeGatingTopKBackward},
    {"MoeGatingTopKSoftmax", "x finished?", "k!", "y expert_idx row_idx", MoeGatingTopKSoftmax},
    {"MoeGatingTopKSoftmaxV2", "x finished?", "k! renorm output_softmax_result_flag", "y expert_idx softmax_result",
     MoeGatingTopKSoftmaxV2},
    {"Mul", "x1 x2", "", "y", Binary<Mul>},
    {"Muls", "x", "value!", "y", Scale},
    {"Neg", "x", "", "y", Unary<Neg>},
    {"NotEqual", "x1 x2", "", "y", Compare<NotEqual>},
    {"OnesLike", "x", "", "y", FilledLike<1>},
    {"Pack", "x*", "axis N!", "y", Pack},
    {"Pow", "x1 x2", "", "y", Binary<Pow>},
    {"Range", "start limit delta", "", "y", Range},
    {"RealDiv", "x1 x2", "", "y", Binary<Div>},
    {"Reciprocal", "x", "", "y", Unary<Reciprocal>},
    {"ReduceMax", "x axes", "keep_dims", "y", ReduceAlong<Max>},
    {"ReduceMean", "x axes", "keep_dims noop_with_empty_axes", "y", ReduceAlong<Mean>},
    {"ReduceMeanWithCast", "x axes", "keep_dims noop_with_empty_axes dtype", "y", ReduceAlong<Mean>},
    {"ReduceMin", "x axes", "keep_dims", "y", ReduceAlong<Min>},
    {"ReduceProd", "x axes", "keep_dims", "y", ReduceAlong<Prod>},
    {"ReduceSum", "x axes", "keep_dims", "y", ReduceAlong<Sum>},
    {"Reshape", "x shape", "axis=0 num_axes=-1", "y", Reshape},
    {"ReverseV2", "x axis", "", "y", Flip},
    {"ScatterElements", "data indices updates", "axis reduction", "y", ScatterAlong},
    {"Select", "condition x1 x2", "", "y", Where},
    {"SelectV2", "condition then else", "", "result", Where},
    {"Shape", "x", "dtype", "y", Shape},
    {"Sigmoid", "x", "", "y", Unary<Sigmoid>},
    {"SigmoidGrad", "y dy", "complex_conj=0", "z", Binary<SigmoidGrad>},
    {"Sign", "x", "", "y", Unary<Sign>},
    {"SoftmaxGrad", "softmax grad_softmax", "axes", "grad_x", SoftmaxGrad},
    {"SoftmaxV2", "x", "axes half_to_float", "y", SoftmaxAlong},
    {"Sort", "x", "axis descending stable", "y1 y2", Sort},
    {"SplitV", "x size_splits split_dim", "num_split!", "y*", Split},
    {"Sqrt", "x", "", "y", Unary<Sqrt>},
    {"Squeeze", "x", "axis", "y", Squeeze},
    {"StridedSlice", "x begin end strides", "begin_mask end_mask ellipsis_mask=0 new_axis_mask=0 shrink_axis_mask", "y",
     StridedSlice},
    {"StridedSliceV2", "x begin end axes? strides?",
     "begin_mask=0 end_mask=0 ellipsis_mask=0 new_axis_mask=0 shrink_axis_mask=0", "y", StridedSlice},
    {"Sub", "x1 x2", "", "y", Binary<Sub>},
    {"Sxpy", "x1 x2 alpha?", "", "y", Binary<Sub>},
    {"TensorMove", "x", "", "y", Identity},
    {"Tile", "x multiples", "", "y", Repeat},
    {"TopKV2", "x k", "sorted dim largest indices_dtype sort_policy", "values indices", TopKAlong},
    {"Transpose", "x perm", "", "y", Transpose},
    {"Unpack", "x", "num! axis", "y*", Unpack},
    {"Unsqueeze", "x", "axes", "y", Expand},
    {"ZerosLike", "x", "", "y", FilledLike<0>},
};

// Whether a node's input or output is the one that the table names, or one of any number of them: x0, x1, ...
bool IsOf(const std::string &input, const Parameter &parameter) {
  const auto &name = parameter.name;
  return input == name || (parameter.mark == '*' && input.compare(0, name.size(), name) == 0 &&
                           input.find_first_not_of("0123456789", name.size()) == std::string::npos);
}

// An integer stands for a bool, a float and a text, a bool for an integer: so it is in the files of torchair.
void CheckType(const Node &node, const std::string &name, const Attribute &value) {
  const std::string type = AttributeType(node.type, name);
  const bool integer = std::holds_alternative<int64_t>(value) || std::holds_alternative<bool>(value);
  const bool fits = type == "VT_TENSOR"     ? std::holds_alternative<Constant>(value)
                    : type == "VT_LIST_INT" ? std::holds_alternative<std::vector<int64_t>>(value)
                    : type == "VT_STRING"   ? integer || std::holds_alternative<std::string>(value)
                    : type == "VT_FLOAT"    ? integer || std::holds_alternative<double>(value)
                                            : integer;
  if (!fits) Invalid("attribute " + name + " is not a " + type, kInvalidParam);
}

// Which input of the graph, and what it is; an unknown size is -1.
void CheckData(const Node &node) {
  const auto *given = std::get_if<int64_t>(node.Find("index"));
  if (given == nullptr) Invalid("attribute index is not a VT_INT", kInvalidParam);
  const int64_t index = *given;
  if (index < 0 || index >= kMostInputs)
    Invalid("index is " + std::to_string(index) + ", not of one of " + std::to_string(kMostInputs) + " inputs",
            kInvalidParam);
  auto known = node.described;
  for (auto &size : known.sizes) {
    if (size == -1) size = 1;
  }
  DemandTensor(known);
}

// A node with any number of outputs says how many.
void CheckCount(const Node &node) {
  for (const char *name : {"num", "num_split"}) {
    const auto *count = node.Find(name);
    if (count != nullptr && NumbersOf(*count)[0] != static_cast<double>(node.output_names.size()))
      Invalid("attribute " + std::string(name) + " is not the number of outputs, " +
                  std::to_string(node.output_names.size()),
              kInvalidParam);
  }
}

void CheckOutputs(const Node &node, const char *names) {
  const auto outputs = Parameters(names);
  size_t place = 0;
  for (const auto &output : outputs) {
    const size_t first = place;
    while (place < node.output_names.size() && IsOf(node.output_names[place], output)) ++place;
    if (output.mark != '*' && place != first + 1) place = node.output_names.size() + 1;
  }
  if (place == node.output_names.size()) return;
  std::string given;
  for (const auto &name : node.output_names) given += (given.empty() ? "" : " ") + name;
  Invalid("the outputs are " + given + ", not " + std::string(names), kNotSupported);
}

}  // namespace

const NodeType *FindNodeType(const std::string &name) {
  const auto *end = std::end(kNodeTypes);
  const auto *found = std::find_if(kNodeTypes, end, [&](const NodeType &type) { return name == type.name; });
  return found == end ? nullptr : found;
}

void CheckNode(const Node &node) {
  const auto *type = FindNodeType(node.type);
  if (type == nullptr) throw NotImplemented("this type; add it to the table in simulator/graph/node_types.cpp");
  const auto attributes = Parameters(type->attributes);
  for (const auto &[name, value] : node.attributes) {
    if (HasName(attributes, name)) CheckType(node, name, value);
  }
  for (const auto &[name, only, mark] : attributes) {
    const auto *value = node.Find(name);
    if (value == nullptr && mark == '!') Invalid("attribute " + name + " is missing", kNotSupported);
    if (value != nullptr && mark == '=' && NumbersOf(*value) != std::vector<double>{std::stod(only)})
      Invalid("of attribute " + name + " only " + only + " is implemented", kNotSupported);
  }
  if (node.type == "Data") CheckData(node);
  if (type->describe == nullptr) return;
  size_t place = 0;
  for (const auto &input : Parameters(type->inputs)) {
    const auto here = [&] { return place < node.inputs.size() && IsOf(node.inputs[place].name, input); };
    const bool fed = here() && node.inputs[place].node >= 0;
    if (input.mark == '-' && fed) Invalid("input " + input.name + " is not implemented", kNotSupported);
    if (input.mark != '?' && input.mark != '-' && !fed) Invalid("input " + input.name + " is missing", kNotSupported);
    for (; here(); ++place) {
      if (input.mark == '*' && node.inputs[place].node < 0)
        Invalid("input " + node.inputs[place].name + " is missing", kNotSupported);
    }
  }
  if (place < node.inputs.size())
    Invalid("there is no input " + node.inputs[place].name + " in this place", kNotSupported);
  for (const auto &attribute : node.attributes) {
    if (!HasName(attributes, attribute.first)) Invalid("there is no attribute " + attribute.first, kNotSupported);
  }
  CheckOutputs(node, type->outputs);
  CheckCount(node);
}

void RefuseNode(const Node &node) {
  const auto [code, why] = Caught();
  throw Refusal{code == kBadParam || code == kBadTiling ? kInvalidParam : code,
                "graph node " + node.name + " of type " + node.type + ": " + why};
}

}  // namespace host_cann
