// Graphs, operators and summaries of the graph engine: what can be asked without a session.
#include <fstream>

#include "ge_impl.h"
#include "node_types.h"
#include "refuse.h"

using host_cann::Fail;

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
  auto model = host_cann::ParseModel(bytes, size);
  if (model == nullptr) return static_cast<graphStatus>(host_cann::kInvalidParam);
  impl_ = std::make_shared<GraphImpl>(GraphImpl{std::move(model), {static_cast<const char *>(bytes), size}});
  return kSuccess;
}

graphStatus Graph::CopyFrom(const Graph &graph) {
  impl_ = graph.impl_;  // a model does not change once it is parsed
  return kSuccess;
}

graphStatus Graph::SaveToFile(const char *path) const {
  std::ofstream file(path, std::ios::binary);
  if (impl_ != nullptr) file << impl_->bytes;
  if (impl_ != nullptr && file.flush()) return kSuccess;
  return static_cast<graphStatus>(
      Fail(host_cann::kInvalidParam, std::string("the graph cannot be written to ") + path));
}

std::vector<GNode> Graph::GetAllNodes() const {
  std::vector<GNode> nodes;
  if (impl_ == nullptr) return nodes;
  for (const auto &node : impl_->model->nodes) nodes.emplace_back(std::make_shared<NodeImpl>(NodeImpl{node.type}));
  return nodes;
}

graphStatus GNode::GetType(AscendString &type) const {
  type = AscendString(impl_->type.c_str());
  return kSuccess;
}

bool OperatorFactory::IsExistOp(const char *type) { return host_cann::FindNodeType(type) != nullptr; }

Operator OperatorFactory::CreateOperator(const char *, const char *type) {
  Operator created;
  created.operator_impl_ = std::make_shared<OperatorImpl>(OperatorImpl{host_cann::FindNodeType(type)});
  return created;
}

graphStatus Operator::UpdateInputDesc(const char *name, const TensorDesc &) {
  const auto *type = operator_impl_->type;
  if (type != nullptr && host_cann::HasName(type->inputs, name)) return kSuccess;
  return static_cast<graphStatus>(Fail(host_cann::kInvalidParam, std::string("no such input: ") + name));
}

graphStatus Operator::GetAllIrAttrNamesAndTypes(Options &attributes) const {
  const auto *type = operator_impl_->type;
  if (type == nullptr) return static_cast<graphStatus>(Fail(host_cann::kInvalidParam, "no such operator"));
  for (const auto &name : host_cann::Names(type->attributes)) attributes[name.c_str()] = "";
  return kSuccess;
}

bool CompiledGraphSummary::IsStatic() const { return data_->is_static; }
// The plan of a run keeps its own memory.
Status CompiledGraphSummary::GetConstMemorySize(size_t &size) const { return size = 0, kSuccess; }
Status CompiledGraphSummary::GetFeatureMemorySize(size_t &size) const { return size = 0, kSuccess; }
Status CompiledGraphSummary::GetFixedFeatureMemorySize(size_t &size) const { return size = 0, kSuccess; }
Status CompiledGraphSummary::GetFeatureMemoryBaseRefreshable(bool &refreshable) const {
  return refreshable = true, kSuccess;
}
Status CompiledGraphSummary::GetOutputShapes(std::vector<Shape> &shapes) const {
  for (const auto &view : data_->outputs) shapes.emplace_back(view.sizes);
  return kSuccess;
}
Status CompiledGraphSummary::GetOutputDtypes(std::vector<DataType> &dtypes) const {
  for (const auto &view : data_->outputs) dtypes.push_back(static_cast<DataType>(view.dtype));
  return kSuccess;
}

}  // namespace ge
