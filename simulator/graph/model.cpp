#include "model.h"

#include <cstring>
#include <map>

namespace host_cann {
namespace {

// A message in protobuf's wire format, as its fields: all that a model needs, without a protobuf library.
class Message {
 public:
  struct Field {
    int number;
    bool length_delimited;
    uint64_t value;     // of a varint or a fixed field
    std::string bytes;  // of a length-delimited one
  };

  explicit Message(const std::string &bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {
    while (at_ != end_) {
      const uint64_t key = Varint();
      const int type = static_cast<int>(key & 7);
      Field field{static_cast<int>(key >> 3), type == 2, 0, {}};
      if (type == 0) {
        field.value = Varint();
      } else if (type == 1 || type == 5) {
        const std::string fixed = Take(type == 1 ? 8 : 4);
        std::memcpy(&field.value, fixed.data(), fixed.size());
      } else if (type == 2) {
        field.bytes = Take(Varint());
      } else {
        throw Broken();
      }
      fields_.push_back(std::move(field));
    }
  }

  const std::vector<Field> &fields() const { return fields_; }

  // Of the last field with the number; without one, nothing.
  int64_t Integer(int number) const { return static_cast<int64_t>(Find(number).value); }
  const std::string &Bytes(int number) const { return Find(number).bytes; }

  // Of all fields with the number; repeated integers may be packed into one.
  std::vector<std::string> All(int number) const {
    std::vector<std::string> all;
    for (const auto &field : fields_) {
      if (field.number == number) all.push_back(field.bytes);
    }
    return all;
  }
  std::vector<int64_t> Integers(int number) const {
    std::vector<int64_t> all;
    for (const auto &field : fields_) {
      if (field.number == number) Append(field, &all);
    }
    return all;
  }

 private:
  static Refusal Broken() { return {kInvalidParam, "not a serialised model"}; }

  static void Append(const Field &field, std::vector<int64_t> *integers) {
    if (!field.length_delimited) return integers->push_back(static_cast<int64_t>(field.value));
    Message packed;
    packed.at_ = field.bytes.data();
    packed.end_ = packed.at_ + field.bytes.size();
    while (packed.at_ != packed.end_) integers->push_back(static_cast<int64_t>(packed.Varint()));
  }

  Message() = default;

  const Field &Find(int number) const {
    static const Field none{};
    for (size_t i = fields_.size(); i-- > 0;) {
      if (fields_[i].number == number) return fields_[i];
    }
    return none;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw Broken();
  }
  std::string Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) throw Broken();
    at_ += size;
    return {at_ - size, size};
  }

  const char *at_ = nullptr, *end_ = nullptr;
  std::vector<Field> fields_;
};

// The model file counts dtypes differently from the rest of CANN.
DType FromProto(int64_t dtype) {
  constexpr DType kDTypes[] = {DType::kFloat,  DType::kFloat, DType::kHalf,  DType::kInt8,  DType::kUInt8,
                               DType::kInt16,  DType(7),      DType::kInt32, DType::kInt64, DType::kUInt32,
                               DType::kUInt64, DType::kBool,  DType::kDouble};
  return dtype >= 0 && dtype <= 12 ? kDTypes[dtype] : static_cast<DType>(dtype);
}

// Of a TensorDescriptor: name, dtype, shape.
View ParseDescription(const Message &description) {
  return Contiguous(nullptr, FromProto(description.Integer(2)), Message(description.Bytes(3)).Integers(1));
}

Constant ParseConstant(const Message &tensor) {
  Constant constant{std::make_shared<std::string>(tensor.Bytes(2)), ParseDescription(Message(tensor.Bytes(1)))};
  if (constant.bytes->size() < constant.view.bytes())
    Invalid("not a graph: a constant of " + Described(constant.view) + " has " +
                std::to_string(constant.bytes->size()) + " bytes",
            kInvalidParam);
  constant.view.data = reinterpret_cast<uint8_t *>(constant.bytes->data());
  return constant;
}

// An AttrDef is a union: one field says what it is.
Attribute ParseAttribute(const Message &definition) {
  constexpr int kIntegers = 3, kBools = 5, kDTypes = 12;
  for (const auto &field : definition.fields()) {
    switch (field.number) {
      case 1: {
        const Message list(field.bytes);
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
    if (!IsNote(name)) node.attributes.emplace_back(name, ParseAttribute(Message(entry.Bytes(2))));
  }
  for (const auto &description : op.All(33)) node.inputs.push_back({Message(description).Bytes(1)});
  const auto outputs = op.All(34);
  for (const auto &description : outputs) node.output_names.push_back(Message(description).Bytes(1));
  if (!outputs.empty()) node.described = ParseDescription(Message(outputs[0]));
  return raw;
}

[[noreturn]] void Broken(const Node &node, const std::string &why) {
  Invalid("not a graph: node " + node.name + " " + why, kInvalidParam);
}

constexpr int kWaiting = -1;  // a node that has no place yet

// Tells the inputs of a node where their producers are; false when one of these is waiting.
bool Connect(RawNode *raw, const std::map<std::string, int> &places) {
  auto &node = raw->node;
  size_t input = 0;
  for (const auto &source : raw->sources) {
    const size_t colon = source.rfind(':');
    const int output = colon == std::string::npos ? 0 : std::atoi(source.c_str() + colon + 1);
    const auto producer = places.find(source.substr(0, colon));
    if (!source.empty() && producer == places.end()) Broken(node, "reads from " + source + ", which does not exist");
    if (!source.empty() && producer->second == kWaiting) return false;
    if (output < 0) continue;
    if (input == node.inputs.size()) Broken(node, "has an input without a name");
    node.inputs[input].node = source.empty() ? kWaiting : producer->second;
    node.inputs[input++].output = output;
  }
  return true;
}

// Producers before their consumers, otherwise in the order of the file.
Model Sorted(std::vector<RawNode> raw) {
  Model model;
  std::map<std::string, int> places;
  for (const auto &each : raw) places[each.node.name] = kWaiting;
  while (!raw.empty()) {
    std::vector<RawNode> waiting;
    for (auto &each : raw) {
      if (Connect(&each, places)) {
        places[each.node.name] = static_cast<int>(model.nodes.size());
        model.nodes.push_back(std::move(each.node));
      } else {
        waiting.push_back(std::move(each));
      }
    }
    if (waiting.size() == raw.size()) Broken(waiting[0].node, "feeds itself");
    raw = std::move(waiting);
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
