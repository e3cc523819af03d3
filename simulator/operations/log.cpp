#include "log.h"

namespace host_cann {
namespace {

JsonObject Tensors(const std::vector<Operand> &operands) {
  JsonObject tensors;
  for (const auto &operand : operands) {
    const auto &view = operand.view;
    if (!view.given() || !operand.read || operand.number != nullptr) continue;
    JsonObject tensor;
    tensor.Add("shape", view.sizes).Add("strides", view.strides).Add("dtype", DTypeName(view.dtype));
    tensors.Add(operand.name, tensor);
  }
  return tensors;
}

// Attributes, and arguments that are numbers.
struct Value {
  JsonObject *values;
  const std::string &name;

  template <class Plain>
  void operator()(const Plain &value) const {
    values->Add(name, value);
  }
  void operator()(const Constant &) const { values->Add(name, "a tensor"); }
};

}  // namespace

void Describe(const Call &call, JsonObject *line) {
  JsonObject values;
  for (const auto &[name, attribute] : call.attributes) std::visit(Value{&values, name}, attribute);
  for (const auto &input : call.inputs) {
    if (input.number != nullptr) values.Add(input.name, input.number->value);
  }
  line->Add("inputs", Tensors(call.inputs)).Add("outputs", Tensors(call.outputs)).Add("attributes", values);
}

}  // namespace host_cann
