#include "node_types.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "elementwise.h"
#include "ops.h"
#include "reduce.h"
#include "refuse.h"

namespace host_cann {
namespace {

int Cast(NodeCall &call) {
  call.Out(static_cast<DType>(call.node.Integer("dst_type")), call.In(0).sizes);
  if (ElementSize(call.outputs[0].dtype) == 0) return call.Invalid("dst_type is not a dtype that the stand-in knows");
  call.run = [](const Views &in, const Views &out) { return Copy(*in[0], *out[0]), 0; };
  return 0;
}

template <class Function>
int OfOne(NodeCall &call) {
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.run = [](const Views &in, const Views &out) { return Unary<Function>(*in[0], *out[0]), 0; };
  return 0;
}

template <class Function>
int OfTwoTo(NodeCall &call, DType dtype) {
  std::vector<int64_t> sizes;
  if (call.In(0).dtype != call.In(1).dtype) return call.Invalid("the inputs have two dtypes");
  if (!BroadcastSizes(call.In(0), call.In(1), &sizes)) return call.Invalid("the sizes of the inputs do not fit");
  call.Out(dtype, sizes);
  call.run = [](const Views &in, const Views &out) { return Binary<Function>(*in[0], *in[1], *out[0]), 0; };
  return 0;
}

template <class Function>
int OfTwo(NodeCall &call) { return OfTwoTo<Function>(call, call.In(0).dtype); }

template <class Function>
int Compare(NodeCall &call) { return OfTwoTo<Function>(call, DType::kBool); }

// The same elements in the same order under other sizes.
int Resized(NodeCall &call, const std::vector<int64_t> &sizes) {
  if (Count(sizes) != call.In(0).count()) return call.Invalid("the sizes hold another number of elements");
  call.Out(call.In(0).dtype, sizes);
  call.run = [](const Views &in, const Views &out) {
    View source = *in[0];
    if (source.count() > 0) std::memcpy(out[0]->data, source.data, static_cast<size_t>(source.count() * ElementSize(source.dtype)));
    return 0;
  };
  return 0;
}

int Identity(NodeCall &call) { return Resized(call, call.In(0).sizes); }

int Reshape(NodeCall &call) {
  std::vector<int64_t> sizes;
  if (const int status = call.Integers(1, &sizes)) return status;
  int64_t rest = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0 && i < call.In(0).sizes.size()) sizes[i] = call.In(0).sizes[i];
    if (sizes[i] >= 0) rest *= sizes[i];
  }
  for (auto &size : sizes) {
    if (size == -1) size = rest == 0 ? 0 : call.In(0).count() / rest;
  }
  return Resized(call, sizes);
}

int Transpose(NodeCall &call) {
  std::vector<int64_t> order, sizes;
  if (const int status = call.Integers(1, &order)) return status;
  const auto rank = static_cast<int64_t>(call.In(0).sizes.size());
  if (static_cast<int64_t>(order.size()) != rank) return call.Invalid("perm does not have one entry per dimension");
  for (const auto axis : order) {
    if (axis < 0 || axis >= rank) return call.Invalid("perm names a dimension that x does not have");
    sizes.push_back(call.In(0).sizes[static_cast<size_t>(axis)]);
  }
  call.Out(call.In(0).dtype, sizes);
  call.run = [order](const Views &in, const Views &out) {
    View turned = *out[0];
    turned.strides.clear();
    for (const auto axis : order) turned.strides.push_back(in[0]->strides[static_cast<size_t>(axis)]);
    turned.data = in[0]->data;
    turned.dtype = in[0]->dtype;
    return Copy(turned, *out[0]), 0;
  };
  return 0;
}

// Tensors of one shape as the slices of one new dimension.
int Pack(NodeCall &call) {
  auto sizes = call.In(0).sizes;
  const auto rank = static_cast<int64_t>(sizes.size());
  const int64_t axis = call.node.Integer("axis") < 0 ? call.node.Integer("axis") + rank + 1 : call.node.Integer("axis");
  if (axis < 0 || axis > rank) return call.Invalid("axis is not a dimension of the result");
  for (const auto &input : call.inputs) {
    if (input->sizes != sizes || input->dtype != call.In(0).dtype) return call.Invalid("the inputs differ in shape or dtype");
  }
  sizes.insert(sizes.begin() + axis, static_cast<int64_t>(call.inputs.size()));
  call.Out(call.In(0).dtype, sizes);
  call.run = [axis](const Views &in, const Views &out) {
    View slice = *out[0];
    const int64_t step = slice.strides[static_cast<size_t>(axis)] * ElementSize(slice.dtype);
    slice.sizes.erase(slice.sizes.begin() + axis);
    slice.strides.erase(slice.strides.begin() + axis);
    for (const auto &input : in) {
      Copy(*input, slice);
      slice.data += step;
    }
    return 0;
  };
  return 0;
}

View Transposed(View matrix, bool transpose) {
  const size_t rank = matrix.sizes.size();
  if (transpose) {
    std::swap(matrix.sizes[rank - 2], matrix.sizes[rank - 1]);
    std::swap(matrix.strides[rank - 2], matrix.strides[rank - 1]);
  }
  return matrix;
}

View Batches(View matrices) {
  matrices.sizes.resize(matrices.sizes.size() - 2);
  return matrices;
}

int MatrixProduct(NodeCall &call) {
  if (call.In(0).sizes.size() < 2 || call.In(1).sizes.size() < 2) return call.Invalid("an input is not a matrix");
  if (call.Has(3)) return call.Invalid("offset_w is not implemented");
  const bool first = call.node.Integer("transpose_x1") + call.node.Integer("adj_x1") != 0;
  const bool second = call.node.Integer("transpose_x2") + call.node.Integer("adj_x2") != 0;
  const View a = Transposed(call.In(0), first), b = Transposed(call.In(1), second);
  const int64_t rows = a.sizes[a.sizes.size() - 2], columns = b.sizes.back();
  std::vector<int64_t> sizes;
  if (a.sizes.back() != b.sizes[b.sizes.size() - 2]) return call.Invalid("the inner sizes differ");
  if (!BroadcastSizes(Batches(a), Batches(b), &sizes)) return call.Invalid("the batches do not fit");
  if (call.Has(2) && call.In(2).sizes != std::vector<int64_t>{columns}) return call.Invalid("the bias does not have one value per column");
  sizes.insert(sizes.end(), {rows, columns});
  call.Out(a.dtype, sizes);
  call.run = [first, second](const Views &in, const Views &out) {
    const View *bias = in.size() > 2 && in[2] ? &*in[2] : nullptr;
    return MatMul(Transposed(*in[0], first), Transposed(*in[1], second), bias, *out[0]), 0;
  };
  return 0;
}

template <class Function>
int ReduceTo(NodeCall &call) {
  std::vector<int64_t> axes;
  std::vector<bool> reduced;
  if (const int status = call.Integers(1, &axes)) return status;
  if (!ReducedDimensions(call.In(0).sizes.size(), axes, &reduced)) return call.Invalid("axes names a dimension that x does not have");
  call.Out(call.In(0).dtype, ReducedSizes(call.In(0).sizes, reduced, call.node.Integer("keep_dims") != 0));
  call.run = [reduced](const Views &in, const Views &out) { return Reduce<Function>(*in[0], reduced, *out[0]), 0; };
  return 0;
}

int Shape(NodeCall &call) {
  const auto sizes = call.In(0).sizes;
  call.Out(static_cast<DType>(call.node.Integer("dtype", static_cast<int64_t>(DType::kInt32))), {static_cast<int64_t>(sizes.size())});
  call.sizes_suffice = true;
  call.run = [sizes](const Views &, const Views &out) {
    return Copy(Contiguous(reinterpret_cast<uint8_t *>(const_cast<int64_t *>(sizes.data())), DType::kInt64, out[0]->sizes), *out[0]), 0;
  };
  return 0;
}

int MoeGatingTopK(NodeCall &call) {
  const auto &node = call.node;
  const auto dtype = call.In(0).dtype;
  const View *bias = call.Has(1) ? &call.In(1) : nullptr;
  if (dtype != DType::kFloat && dtype != DType::kHalf && dtype != DType::kBFloat16) {
    return call.Invalid(std::string("x is ") + DTypeName(dtype));
  }
  if (bias != nullptr && bias->dtype != dtype) return call.Invalid("bias does not have the dtype of x");
  const Gating gating{node.Integer("k"),         node.Integer("k_group", 1),
                      node.Integer("group_count", 1), node.Integer("group_select_mode"),
                      node.Integer("renorm"),    node.Integer("norm_type"),
                      node.Integer("out_flag") != 0, node.Real("routed_scaling_factor", 1.0F),
                      node.Real("eps", 1e-20F)};
  const auto refusal = GatingRefusal(gating, call.In(0), bias);
  if (!refusal.empty()) return call.Invalid(refusal);
  const int64_t tokens = call.In(0).sizes[0];
  call.Out(dtype, {tokens, gating.k});
  call.Out(DType::kInt32, {tokens, gating.k});
  call.Out(DType::kFloat, call.In(0).sizes);
  call.run = [gating](const Views &in, const Views &out) {
    const View *given = in.size() > 1 && in[1] ? &*in[1] : nullptr;
    return GatingTopK(gating, *in[0], given, *out[0], *out[1], *out[2]);
  };
  return 0;
}

constexpr NodeType kNodeTypes[] = {
    {"Data", "", "index!", "y", nullptr},
    {"Const", "", "value!", "", nullptr},
    {"NetOutput", "input*", "", "", nullptr},
    {"Add", "x1 x2", "", "y", OfTwo<Add>},
    {"BatchMatMul", "x1 x2", "adj_x1 adj_x2", "y", MatrixProduct},
    {"Cast", "x", "dst_type! truncate", "y", Cast},
    {"Div", "x1 x2", "", "y", OfTwo<Div>},
    {"Equal", "x1 x2", "", "y", Compare<Equal>},
    {"FloorDiv", "x1 x2", "", "y", OfTwo<FloorDiv>},
    {"Greater", "x1 x2", "", "y", Compare<Greater>},
    {"GreaterEqual", "x1 x2", "", "y", Compare<GreaterEqual>},
    {"Identity", "x", "", "y", Identity},
    {"Less", "x1 x2", "", "y", Compare<Less>},
    {"LessEqual", "x1 x2", "", "y", Compare<LessEqual>},
    {"MatMul", "x1 x2 bias?", "transpose_x1 transpose_x2", "y", MatrixProduct},
    {"MatMulV2", "x1 x2 bias? offset_w?", "transpose_x1 transpose_x2 offset_x", "y", MatrixProduct},
    {"Mod", "x1 x2", "", "y", OfTwo<Mod>},
    {"MoeGatingTopK", "x bias?",
     "k! k_group group_count group_select_mode renorm norm_type out_flag routed_scaling_factor eps", "y expert_idx out",
     MoeGatingTopK},
    {"Mul", "x1 x2", "", "y", OfTwo<Mul>},
    {"Neg", "x", "", "y", OfOne<Neg>},
    {"NotEqual", "x1 x2", "", "y", Compare<NotEqual>},
    {"Pack", "x*", "N! axis", "y", Pack},
    {"RealDiv", "x1 x2", "", "y", OfTwo<Div>},
    {"ReduceSum", "x axes", "keep_dims", "y", ReduceTo<Sum>},
    {"Reshape", "x shape", "axis num_axes", "y", Reshape},
    {"Shape", "x", "dtype", "y", Shape},
    {"Sub", "x1 x2", "", "y", OfTwo<Sub>},
    {"Transpose", "x perm", "", "y", Transpose},
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
  const auto *found = std::find_if(std::begin(kNodeTypes), end, [&](const NodeType &type) { return name == type.name; });
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
    return Refused(node, "the host stand-in for CANN does not implement this type; add it to the table in simulator/node_types.cpp");
  }
  if (type->describe == nullptr) return 0;
  std::istringstream inputs(type->inputs), attributes(type->attributes);
  size_t given = 0;
  for (std::string name; inputs >> name;) {
    const bool optional = name.back() == '?';
    if (name.back() == '*') {            // any number: x0, x1, ...
      given = node.inputs.size();
      break;
    }
    if (optional) name.pop_back();
    const bool named = given < node.inputs.size() && node.inputs[given].name == name;
    if (!optional && (!named || node.inputs[given].node < 0)) return Refused(node, "input " + name + " is missing");
    if (named) ++given;
  }
  if (given < node.inputs.size()) return Refused(node, "there is no input " + node.inputs[given].name + " in this place");
  for (std::string name; attributes >> name;) {
    if (name.back() == '!' && node.attributes.count(name.substr(0, name.size() - 1)) == 0) {
      return Refused(node, "attribute " + name.substr(0, name.size() - 1) + " is missing");
    }
  }
  for (const auto &[name, value] : node.attributes) {  // a leading _ marks what torchair notes for itself
    if (name[0] != '_' && !HasName(type->attributes, name)) return Refused(node, "there is no attribute " + name);
  }
  return node.output_names == Names(type->outputs) ? 0 : Refused(node, std::string("the outputs are not ") + type->outputs);
}

}  // namespace host_cann
