#include "model.h"

#include <algorithm>
#include <functional>

#include "log.h"
#include "refuse.h"
#include "wire.h"

namespace host_cann {
namespace {

// The model file counts dtypes differently from the rest of CANN.
DType FromProto(int64_t dtype) {
  constexpr DType kDTypes[] = {DType::kFloat,  DType::kFloat, DType::kHalf,  DType::kInt8,  DType::kUInt8,
                               DType::kInt16,  DType(7),      DType::kInt32, DType::kInt64, DType::kUInt32,
                               DType::kUInt64, DType::kBool,  DType::kDouble};
  return dtype >= 0 && dtype <= 12 ? kDTypes[dtype] : static_cast<DType>(dtype);
}

std::vector<int64_t> ParseShape(const std::string &bytes) {
  std::vector<int64_t> sizes;
  for (Wire shape(bytes); shape.Next();) shape.Each([&](const Wire &dim) { sizes.push_back(dim.integer()); });
  return sizes;
}

View ParseDescription(const std::string &bytes, std::string *name) {
  DType dtype = DType::kFloat;
  std::vector<int64_t> sizes;
  for (Wire desc(bytes); desc.Next();) {
    if (desc.field == 1) *name = desc.bytes;
    if (desc.field == 2) dtype = FromProto(desc.integer());
    if (desc.field == 3) sizes = ParseShape(desc.bytes);
  }
  return Contiguous(nullptr, dtype, sizes);
}

void ParseTensor(const std::string &bytes, Attribute *attribute) {
  std::string name;
  attribute->data = std::make_shared<std::string>();
  for (Wire tensor(bytes); tensor.Next();) {
    if (tensor.field == 1) attribute->view = ParseDescription(tensor.bytes, &name);
    if (tensor.field == 2) *attribute->data = tensor.bytes;
  }
  attribute->view.data = reinterpret_cast<uint8_t *>(attribute->data->data());
  attribute->json = Json(std::string("a tensor"));
}

void ParseList(const std::string &bytes, Attribute *attribute) {
  std::string json;
  const auto add = [&](const std::string &element) { json += (json.empty() ? "" : ", ") + element; };
  for (Wire list(bytes); list.Next();) {
    if (list.field == 2) add(Json(list.bytes));
    if (list.field != 3 && list.field != 5 && list.field != 12) continue;
    list.Each([&](const Wire &element) {
      attribute->integers.push_back(element.integer());
      add(Json(element.integer()));
    });
  }
  attribute->json = "[" + json + "]";
}

Attribute ParseAttribute(const std::string &bytes) {
  Attribute attribute;
  for (Wire value(bytes); value.Next();) {
    switch (value.field) {
      case 1: ParseList(value.bytes, &attribute); break;
      case 2: attribute.json = Json(attribute.text = value.bytes); break;
      case 3:
      case 15: attribute.json = Json(attribute.integer = value.integer()); break;
      case 4: attribute.json = Json(static_cast<double>(attribute.real = value.real())); break;
      case 5: attribute.json = Json((attribute.integer = value.integer()) != 0); break;
      case 12: ParseTensor(value.bytes, &attribute); break;
      default: break;
    }
  }
  return attribute;
}

struct RawNode {
  Node node;
  std::vector<std::string> sources;  // "name:index"; empty for an input that is not fed
};

RawNode ParseNode(const std::string &bytes) {
  RawNode raw;
  std::vector<std::string> input_names;
  for (Wire op(bytes); op.Next();) {
    std::string name;
    switch (op.field) {
      case 1: raw.node.name = op.bytes; break;
      case 2: raw.node.type = op.bytes; break;
      case 5: raw.sources.push_back(op.bytes); break;
      case 10: {
        Attribute value;
        for (Wire entry(op.bytes); entry.Next();) {
          if (entry.field == 1) name = entry.bytes;
          if (entry.field == 2) value = ParseAttribute(entry.bytes);
        }
        raw.node.attributes[name] = value;
        break;
      }
      case 33:
        ParseDescription(op.bytes, &name);
        input_names.push_back(name);
        break;
      case 34: {
        const View view = ParseDescription(op.bytes, &name);
        if (raw.node.output_names.empty()) raw.node.described = view;
        raw.node.output_names.push_back(name);
        break;
      }
      default: break;
    }
  }
  // A control edge ("name:-1") has no description: it orders, and carries nothing.
  raw.node.inputs.resize(input_names.size());
  for (size_t i = 0; i < input_names.size(); ++i) raw.node.inputs[i].name = input_names[i];
  return raw;
}

// Depth first from each node in turn: producers get their places before their consumers.
class Sorter {
 public:
  explicit Sorter(std::vector<RawNode> raw) : raw_(std::move(raw)), places_(raw_.size(), kNew) {
    for (size_t i = 0; i < raw_.size(); ++i) by_name_[raw_[i].node.name] = i;
  }

  bool Sort(Model *model) {
    for (size_t i = 0; i < raw_.size(); ++i) {
      if (!Place(i, model)) return false;
    }
    return true;
  }

 private:
  static constexpr int kNew = -1, kOpen = -2;

  bool Place(size_t i, Model *model) {
    if (places_[i] >= 0) return true;
    auto &raw = raw_[i];
    if (places_[i] == kOpen) return Broken("node " + raw.node.name + " feeds itself");
    places_[i] = kOpen;
    size_t input = 0;
    for (const auto &source : raw.sources) {
      const size_t colon = source.rfind(':');
      const bool control = !source.empty() && source.compare(colon + 1, std::string::npos, "-1") == 0;
      if (!control && input == raw.node.inputs.size())
        return Broken("node " + raw.node.name + " has an input without a name");
      if (!source.empty()) {
        const auto producer = by_name_.find(source.substr(0, colon));
        if (producer == by_name_.end())
          return Broken("node " + raw.node.name + " reads from " + source + ", which does not exist");
        if (!Place(producer->second, model)) return false;
        if (!control) {
          raw.node.inputs[input].node = places_[producer->second];
          raw.node.inputs[input].output = std::stoi(source.substr(colon + 1));
        }
      }
      if (!control) ++input;
    }
    places_[i] = static_cast<int>(model->nodes.size());
    model->nodes.push_back(std::move(raw.node));
    return true;
  }

  static bool Broken(const std::string &why) { return Fail(kInvalidParam, "not a graph: " + why), false; }

  std::vector<RawNode> raw_;
  std::vector<int> places_;
  std::map<std::string, size_t> by_name_;
};

}  // namespace

int64_t Node::Integer(const char *attribute, int64_t otherwise) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? otherwise : found->second.integer;
}

float Node::Real(const char *attribute, float otherwise) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? otherwise : found->second.real;
}

std::vector<int64_t> Node::Integers(const char *attribute) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? std::vector<int64_t>{} : found->second.integers;
}

std::shared_ptr<Model> ParseModel(const void *bytes, size_t size) {
  std::vector<RawNode> raw;
  Wire model(static_cast<const char *>(bytes), size);
  while (model.Next()) {
    if (model.field != 7) continue;
    if (!raw.empty()) {
      Fail(kNotSupported, "the host stand-in for CANN does not implement graphs inside a graph");
      return nullptr;
    }
    for (Wire graph(model.bytes); graph.Next();) {
      if (graph.field == 6) raw.push_back(ParseNode(graph.bytes));
    }
  }
  auto sorted = std::make_shared<Model>();
  if (model.broken() || raw.empty()) {
    Fail(kInvalidParam, "not a serialised model");
    return nullptr;
  }
  return Sorter(std::move(raw)).Sort(sorted.get()) ? sorted : nullptr;
}

}  // namespace host_cann
