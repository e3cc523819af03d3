#include "model.h"

#include <cstring>
#include <map>

#include "message.h"

namespace host_cann {
namespace {

// The model file counts dtypes differently from the rest of CANN.
DType FromProto(int64_t dtype) {
  constexpr DType kDTypes[] = {DType::kFloat,  DType::kFloat, DType::kHalf,  DType::kInt8,  DType::kUInt8,
                               DType::kInt16,  DType(7),      DType::kInt32, DType::kInt64, DType::kUInt32,
                               DType::kUInt64, DType::kBool,  DType::kDouble};
  if (dtype >= 0 && dtype <= 12) return kDTypes[dtype];
  return dtype > 12 && dtype < 1000 ? static_cast<DType>(dtype) : DType::kUndefined;
}

// Of a TensorDescriptor: name, dtype, shape. It has no strides yet, as its sizes may be anything.
View ParseDescription(const Message &description) {
  return {nullptr, FromProto(description.Integer(2)), Message(description.Bytes(3)).Integers(1), {}};
}

Constant ParseConstant(const Message &tensor) {
  Constant constant{std::make_shared<std::string>(tensor.Bytes(2)), ParseDescription(Message(tensor.Bytes(1)))};
  DemandTensor(constant.view);
  if (constant.bytes->size() < constant.view.bytes())
    Invalid("a constant of " + Described(constant.view) + " has " + std::to_string(constant.bytes->size()) + " bytes",
            kInvalidParam);
  auto *data = reinterpret_cast<uint8_t *>(constant.bytes->data());
  constant.view = Contiguous(data, constant.view.dtype, constant.view.sizes);
  return constant;
}

// An AttrDef is a union: one field says what it is.
Attribute ParseAttribute(const Message &definition) {
  constexpr int kIntegers = 3, kBools = 5, kDTypes = 12, kKind = 20;
  for (const auto &field : definition.fields()) {
    switch (field.number) {
      case 1: {
        const Message list(field.bytes);
        for (const auto &of : list.fields()) {
          const bool known =
              of.number == kIntegers || of.number == kBools || of.number == kDTypes || of.number == kKind;
          if (!known) return std::string("a list of anything but whole numbers");
        }
        auto values = list.Integers(kIntegers);
        for (const int kind : {kBools, kDTypes}) {
          const auto more = list.Integers(kind);
          values.insert(values.end(), more.begin(), more.end());
        }
        return values;
      }
      case 2: return field.bytes;
      case 3:
      case 15: return static_cast<int64_t>(field.value);
      case 4: {
        float real;
        std::memcpy(&real, &field.value, sizeof real);
        return static_cast<double>(real);
      }
      case 5: return field.value != 0;
      case 12: return ParseConstant(Message(field.bytes));
      default: break;
    }
  }
  return int64_t{0};
}

// What torchair, its scopes and the engine note on any node: where it runs, how it is dumped, what it is called.
bool IsNote(const std::string &attribute) { return attribute[0] == '_' || attribute.compare(0, 9, "torchair_") == 0; }

[[noreturn]] void Broken(const Node &node, const std::string &why) {
  Invalid("not a graph: node " + node.name + " " + why, kInvalidParam);
}

struct RawNode {
  Node node;
  std::vector<std::string> sources;  // "name:index"; empty for an input that is not fed
};

// A control edge ("name:-1") has a source and no description: it orders, and carries nothing.
RawNode ParseNode(const Message &op) {
  RawNode raw{{op.Bytes(1), op.Bytes(2), {}, {}, {}, {}}, op.All(5)};
  auto &node = raw.node;
  for (const auto &bytes : op.All(10)) {
    const Message entry(bytes);
    const auto &name = entry.Bytes(1);
    try {
      if (!IsNote(name)) node.attributes.emplace_back(name, ParseAttribute(Message(entry.Bytes(2))));
    } catch (const Refusal &refusal) {
      Broken(node, "has the attribute " + name + ": " + refusal.why);
    }
  }
  for (const auto &description : op.All(33)) node.inputs.push_back({Message(description).Bytes(1)});
  const auto outputs = op.All(34);
  for (const auto &description : outputs) node.output_names.push_back(Message(description).Bytes(1));
  if (!outputs.empty()) node.described = ParseDescription(Message(outputs[0]));
  return raw;
}

// What follows the colon of a source: an output, none for -1; without a colon the first.
int OutputOf(const Node &node, const std::string &source) {
  const size_t colon = source.rfind(':');
  if (colon == std::string::npos) return 0;
  const auto number = source.substr(colon + 1);
  if (number == "-1") return -1;
  if (number.empty() || number.size() > 9 || number.find_first_not_of("0123456789") != std::string::npos)
    Broken(node, "reads from " + source + ", which does not name an output");
  return std::stoi(number);
}

// Tells the inputs of a node where their producers are in the file, and gives the places of all, control edges included.
std::vector<int> Connect(RawNode *raw, const std::map<std::string, int> &places) {
  auto &node = raw->node;
  std::vector<int> producers;
  size_t input = 0;
  for (const auto &source : raw->sources) {
    const int output = OutputOf(node, source);
    const auto producer = places.find(source.substr(0, source.rfind(':')));
    if (!source.empty() && producer == places.end()) Broken(node, "reads from " + source + ", which does not exist");
    if (!source.empty()) producers.push_back(producer->second);
    if (output < 0) continue;
    if (input == node.inputs.size()) Broken(node, "has an input without a name");
    if (!source.empty()) node.inputs[input].node = producer->second;
    node.inputs[input++].output = output;
  }
  return producers;
}

// The nodes in the order of the file, but for producers, which come before their consumers. Without recursion: a model
// may be a chain of any length.
std::vector<int> Order(const std::vector<RawNode> &raw, const std::vector<std::vector<int>> &producers) {
  enum State { kNew, kOpen, kPlaced };
  std::vector<State> states(raw.size(), kNew);
  std::vector<int> order;
  std::vector<std::pair<size_t, size_t>> open;  // a node, and how many of its producers have been looked at
  for (size_t i = 0; i < raw.size(); ++i) {
    if (states[i] == kNew) open.emplace_back(i, 0);
    while (!open.empty()) {
      auto &[node, seen] = open.back();
      states[node] = kOpen;
      if (seen == producers[node].size()) {
        states[node] = kPlaced;
        order.push_back(static_cast<int>(node));
        open.pop_back();
        continue;
      }
      const auto producer = static_cast<size_t>(producers[node][seen++]);
      if (states[producer] == kOpen) Broken(raw[producer].node, "feeds itself");
      if (states[producer] == kNew) open.emplace_back(producer, 0);
    }
  }
  return order;
}

Model Sorted(std::vector<RawNode> raw) {
  std::map<std::string, int> places;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (!places.emplace(raw[i].node.name, static_cast<int>(i)).second) Broken(raw[i].node, "is there twice");
  }
  std::vector<std::vector<int>> producers;
  for (auto &each : raw) producers.push_back(Connect(&each, places));
  const auto order = Order(raw, producers);
  std::vector<int> moved(raw.size());
  for (size_t i = 0; i < order.size(); ++i) moved[static_cast<size_t>(order[i])] = static_cast<int>(i);
  Model model;
  for (const auto place : order) {
    model.nodes.push_back(std::move(raw[static_cast<size_t>(place)].node));
    for (auto &input : model.nodes.back().inputs) {
      if (input.node >= 0) input.node = moved[static_cast<size_t>(input.node)];
    }
  }
  return model;
}

}  // namespace

const Attribute *Node::Find(const std::string &attribute) const {
  for (const auto &[name, value] : attributes) {
    if (name == attribute) return &value;
  }
  return nullptr;
}

size_t Node::index() const {
  const auto *found = Find("index");
  const auto *index = found == nullptr ? nullptr : std::get_if<int64_t>(found);
  return index == nullptr ? 0 : static_cast<size_t>(*index);
}

std::shared_ptr<const Model> ParseModel(const std::string &bytes) {
  const auto graphs = Message(bytes).All(7);
  if (graphs.size() > 1) throw NotImplemented("graphs inside a graph");
  std::vector<RawNode> raw;
  for (const auto &graph : graphs) {
    for (const auto &op : Message(graph).All(6)) raw.push_back(ParseNode(Message(op)));
  }
  if (raw.empty()) Invalid("not a serialised model", kInvalidParam);
  return std::make_shared<const Model>(Sorted(std::move(raw)));
}

}  // namespace host_cann
