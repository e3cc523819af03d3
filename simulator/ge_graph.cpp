// Graphs and operators of the graph engine: what can be asked without a session.
#include "ge_graph.h"

#include <fstream>

#include "node_types.h"

using host_cann::Caught;
using host_cann::EntryPoint;
using host_cann::Invalid;
using host_cann::kInvalidParam;

namespace ge {

class NodeImpl {
 public:
  std::string type;
};

class OperatorImpl {
 public:
  const host_cann::NodeType *type;
};

Graph::Graph(const char *) {}

graphStatus Graph::LoadFromSerializedModelArray(const void *bytes, size_t size) {
  return Returned("ge::LoadFromSerializedModelArray", [&] {
    const std::string model(static_cast<const char *>(bytes), size);
    impl_ = std::make_shared<GraphImpl>(GraphImpl{host_cann::ParseModel(model), model});
  });
}

graphStatus Graph::CopyFrom(const Graph &graph) {
  impl_ = graph.impl_;  // a model does not change once it is parsed
  return 0;
}

graphStatus Graph::SaveToFile(const char *path) const {
  return Returned("ge::SaveToFile", [&] {
    std::ofstream file(path, std::ios::binary);
    if (impl_ != nullptr) file << impl_->bytes;
    if (impl_ == nullptr || !file.flush())
      Invalid(std::string("the graph cannot be written to ") + path, kInvalidParam);
  });
}

std::vector<GNode> Graph::GetAllNodes() const {
  std::vector<GNode> nodes;
  if (impl_ == nullptr) return nodes;
  for (const auto &node : impl_->model->nodes) nodes.emplace_back(std::make_shared<NodeImpl>(NodeImpl{node.type}));
  return nodes;
}

graphStatus GNode::GetType(AscendString &type) const {
  type = AscendString(impl_->type.c_str());
  return 0;
}

bool OperatorFactory::IsExistOp(const char *type) { return host_cann::FindNodeType(type) != nullptr; }

Operator OperatorFactory::CreateOperator(const char *, const char *type) {
  Operator created;
  created.operator_impl_ = std::make_shared<OperatorImpl>(OperatorImpl{host_cann::FindNodeType(type)});
  return created;
}

graphStatus Operator::UpdateInputDesc(const char *name, const TensorDesc &) {
  return Returned("ge::Operator::UpdateInputDesc", [&] {
    const auto *type = operator_impl_->type;
    if (type == nullptr || !HasName(host_cann::Parameters(type->inputs), name))
      Invalid(std::string("no such input: ") + name, kInvalidParam);
  });
}

graphStatus Operator::GetAllIrAttrNamesAndTypes(Options &attributes) const {
  return Returned("ge::Operator::GetAllIrAttrNamesAndTypes", [&] {
    const auto *type = operator_impl_->type;
    if (type == nullptr) Invalid("no such operator", kInvalidParam);
    for (const auto &parameter : host_cann::Parameters(type->attributes)) attributes[parameter.name.c_str()] = "";
  });
}

}  // namespace ge
