// Graphs and sessions of the graph engine: a graph is loaded, added to a session, compiled, run on a stream.
#include <algorithm>
#include <atomic>
#include <fstream>

#include "ge_api.h"
#include "node_types.h"
#include "plan.h"
#include "registry.h"

namespace ge {

using namespace host_cann;  // NOLINT: what is behind CANN's names

class GraphImpl {
 public:
  std::shared_ptr<const Model> model;
  std::string bytes;  // as it was loaded, for SaveToFile
};

class NodeImpl {
 public:
  std::string type;
};

class CompiledGraphSummary::SummaryData {
 public:
  bool is_static;
  std::vector<View> outputs;  // of a static graph
};

namespace {

[[maybe_unused]] const bool asks_for_faults = AlsoAsks([](const std::string &name) {
  return name == "ge::AddGraph" || name == "ge::CompileGraph" || name == "ge::RunGraphWithStreamAsync" ||
         FindNodeType(name) != nullptr;
});

// An entry point of the graph engine.
template <class Body>
Status Returned(const char *entry_point, const Body &body) {
  return static_cast<Status>(EntryPoint(entry_point, body));
}

struct Added {
  std::shared_ptr<const Model> model;
  std::string gears;  // "4;8;16" or "1,4;2,8": all that the unknown sizes may be; empty: anything
  std::shared_ptr<CompiledGraphSummary::SummaryData> summary;  // null until the graph is compiled
};

struct Graphs : Registry<uint32_t, Added> {
  Graphs() : Registry(kInvalidParam, "no graph was added by this number") {}

  std::shared_ptr<Added> Compiled(uint32_t id) {
    auto graph = Get(id);
    if (graph->summary == nullptr) Invalid("graph " + std::to_string(id) + " was never compiled", kInvalidParam);
    return graph;
  }
};

auto &sessions = *new Registry<uint64_t, Graphs>(kInvalidParam, "not a session");
auto &allocators = *new Registry<const void *, Allocator>(kInvalidParam, "no allocator for the stream");

Operand FeedOf(const Tensor &tensor) {
  std::vector<int64_t> sizes;
  for (size_t d = 0; d < tensor.GetShapeDimNum(); ++d) sizes.push_back(tensor.GetShapeDim(d));
  const auto dtype = static_cast<DType>(tensor.GetDataType());
  auto *data = const_cast<uint8_t *>(tensor.GetData());
  return {"", Contiguous(data, dtype, sizes), tensor.GetPlacement() == kPlacementHost};
}

// The place of a result: where the caller provided memory for just this shape, there; where not, in memory of the
// allocator that the caller registered for the stream. Null when there is none.
uint8_t *PlaceOf(const View &view, const std::shared_ptr<Allocator> &allocator, Tensor *tensor) {
  if (tensor->GetData() != nullptr) return FeedOf(*tensor).view.sizes == view.sizes ? tensor->GetData() : nullptr;
  tensor->SetShapeDimNum(view.sizes.size());
  for (size_t d = 0; d < view.sizes.size(); ++d) tensor->SetShapeDim(d, view.sizes[d]);
  tensor->SetDataType(static_cast<DataType>(view.dtype));
  tensor->SetFormat(FORMAT_ND);
  tensor->SetPlacement(kPlacementDevice);
  auto *block = view.bytes() == 0 || allocator == nullptr ? nullptr : allocator->Malloc(view.bytes());
  if (block == nullptr) return nullptr;
  tensor->SetData(static_cast<uint8_t *>(block->GetAddr()), view.bytes(),
                  [block, allocator](uint8_t *) { block->Free(); });
  return tensor->GetData();
}

// The sizes of a run that the graph was compiled without, in the order of the inputs, as a gear is written.
std::string GearOf(const Model &model, const std::vector<Operand> &feeds) {
  std::vector<std::string> sizes(feeds.size());
  for (const auto &node : model.nodes) {
    if (node.type != "Data" || node.index() >= feeds.size()) continue;
    const auto &expected = node.described.sizes, &given = feeds[node.index()].view.sizes;
    for (size_t d = 0; d < std::min(expected.size(), given.size()); ++d) {
      if (expected[d] < 0) sizes[node.index()] += "," + std::to_string(given[d]);
    }
  }
  std::string gear;
  for (const auto &of_input : sizes) gear += of_input;
  return gear.empty() ? gear : gear.substr(1);
}

// The inputs of the graph as it describes them; none when it leaves a size unknown.
std::vector<Operand> DescribedFeeds(const Model &model) {
  std::vector<Operand> feeds;
  for (const auto &node : model.nodes) {
    if (node.type != "Data") continue;
    feeds.resize(std::max(feeds.size(), node.index() + 1));
    const auto &[data, dtype, sizes, strides] = node.described;
    if (std::any_of(sizes.begin(), sizes.end(), [](int64_t size) { return size < 0; }))
      Invalid("an input has an unknown size", kNeedsValue);
    feeds[node.index()].view = Contiguous(data, dtype, sizes);
  }
  return feeds;
}

CompiledGraphSummary::SummaryData Summary(const std::shared_ptr<const Model> &model) {
  try {
    return {true, MakePlan(model, DescribedFeeds(*model), nullptr).outputs};
  } catch (const Refusal &refusal) {
    if (refusal.code != kNeedsValue) throw;
    return {false, {}};
  }
}

}  // namespace

Graph::Graph(const char *) {}

graphStatus Graph::LoadFromSerializedModelArray(const void *bytes, size_t size) {
  return Returned("ge::LoadFromSerializedModelArray", [&] {
    const std::string model(static_cast<const char *>(bytes), size);
    impl_ = std::make_shared<GraphImpl>(GraphImpl{ParseModel(model), model});
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

Session::Session(const Options &) {
  static std::atomic<uint64_t> next{0};
  session_id_ = next++;
  sessions.Set(session_id_, std::make_shared<Graphs>());
}

Session::~Session() { sessions.Remove(session_id_); }

Status Session::AddGraph(uint32_t id, const Graph &graph, const Options &options) {
  return Returned("ge::AddGraph", [&] {
    if (graph.impl_ == nullptr) Invalid("graph " + std::to_string(id) + " was never loaded", kInvalidParam);
    for (const auto &node : graph.impl_->model->nodes) {
      try {
        CheckNode(node);
      } catch (...) {
        RefuseNode(node);
      }
    }
    const auto gears = options.find("ge.dynamicDims");
    const std::string text = gears == options.end() ? "" : gears->second.GetString();
    sessions.Get(session_id_)->Set(id, std::make_shared<Added>(Added{graph.impl_->model, text, nullptr}));
  });
}

Status Session::CompileGraph(uint32_t id) {
  return Returned("ge::CompileGraph", [&] {
    const auto graphs = sessions.Get(session_id_);
    auto compiled = *graphs->Get(id);
    compiled.summary = std::make_shared<CompiledGraphSummary::SummaryData>(Summary(compiled.model));
    graphs->Set(id, std::make_shared<Added>(std::move(compiled)));
  });
}

std::shared_ptr<CompiledGraphSummary> Session::GetCompiledGraphSummary(uint32_t id) {
  std::shared_ptr<CompiledGraphSummary> summary;
  Returned("ge::GetCompiledGraphSummary",
           [&] { summary = std::make_shared<CompiledGraphSummary>(sessions.Get(session_id_)->Compiled(id)->summary); });
  return summary;
}

Status Session::RemoveGraph(uint32_t id) {
  return Returned("ge::RemoveGraph", [&] { sessions.Get(session_id_)->Remove(id); });
}

Status Session::RunGraph(uint32_t, const std::vector<Tensor> &, std::vector<Tensor> &) {
  return Returned("ge::RunGraph", [] { throw NotImplemented("ge::Session::RunGraph without a stream"); });
}

Status Session::RunGraphWithStreamAsync(uint32_t id, void *stream, const std::vector<Tensor> &inputs,
                                        std::vector<Tensor> &outputs) {
  return Returned("ge::RunGraphWithStreamAsync", [&] {
    const auto graph = sessions.Get(session_id_)->Compiled(id);
    std::vector<Operand> feeds;
    for (const auto &input : inputs) feeds.push_back(FeedOf(input));
    const auto gear = GearOf(*graph->model, feeds);
    if (!graph->gears.empty() && (";" + graph->gears + ";").find(";" + gear + ";") == std::string::npos)
      Invalid("the graph was compiled for the gears " + graph->gears + ", not for " + gear, kInvalidParam);
    const auto allocator = allocators.Find(stream);
    const auto place = [&](size_t index, const View &view) { return PlaceOf(view, allocator, &outputs.at(index)); };
    const auto plan = std::make_shared<Plan>(MakePlan(graph->model, feeds, place));
    Enqueue(stream, [plan](const Stream &on) {
      for (const auto &call : plan->calls) call.Execute(on);
    });
  });
}

// Asked for no memory, the session is given addresses of none.
Status Session::SetGraphConstMemoryBase(uint32_t, const void *, size_t) { return 0; }
Status Session::SetGraphFixedFeatureMemoryBase(uint32_t, const void *, size_t) { return 0; }
Status Session::UpdateGraphFeatureMemoryBase(uint32_t, const void *, size_t) { return 0; }
Status Session::UpdateGraphRefreshableFeatureMemoryBase(uint32_t, const void *, size_t) { return 0; }

Status Session::RegisterExternalAllocator(const void *stream, std::shared_ptr<Allocator> allocator) const {
  allocators.Set(stream, std::move(allocator));
  return 0;
}

// The plan of a run keeps its own memory.
bool CompiledGraphSummary::IsStatic() const { return data_->is_static; }
Status CompiledGraphSummary::GetConstMemorySize(size_t &size) const { return size = 0, 0; }
Status CompiledGraphSummary::GetFeatureMemorySize(size_t &size) const { return size = 0, 0; }
Status CompiledGraphSummary::GetFixedFeatureMemorySize(size_t &size) const { return size = 0, 0; }
Status CompiledGraphSummary::GetFeatureMemoryBaseRefreshable(bool &yes) const { return yes = true, 0; }
Status CompiledGraphSummary::GetOutputShapes(std::vector<Shape> &shapes) const {
  for (const auto &view : data_->outputs) shapes.emplace_back(view.sizes);
  return 0;
}
Status CompiledGraphSummary::GetOutputDtypes(std::vector<DataType> &dtypes) const {
  for (const auto &view : data_->outputs) dtypes.push_back(static_cast<DataType>(view.dtype));
  return 0;
}

Status GEInitialize(const Options &) { return 0; }
Status GEFinalize() { return 0; }
std::string GEGetErrorMsg() { return RecentError(); }
AscendString GEGetWarningMsgV2() { return ""; }

}  // namespace ge
