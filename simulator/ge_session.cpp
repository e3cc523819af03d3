// Sessions of the graph engine: graphs are added, compiled, run on a stream, removed.
#include <map>
#include <mutex>

#include "faults.h"
#include "ge_impl.h"
#include "node_types.h"
#include "plan.h"
#include "refuse.h"
#include "stream.h"

using host_cann::Fail;
using host_cann::Model;

namespace ge {

namespace {

struct Compiled {
  std::shared_ptr<const Model> model;
  std::string gears;  // "4;8;16" or "1,4;2,8": all that the unknown sizes may be; empty: anything
  std::shared_ptr<CompiledGraphSummary::SummaryData> summary;  // null until the graph is compiled
};

struct Sessions {
  std::mutex mutex;
  uint64_t next = 0;
  std::map<uint64_t, std::map<uint32_t, Compiled>> graphs;        // by session and by graph
  std::map<const void *, std::shared_ptr<Allocator>> allocators;  // by stream
};

Sessions &All() {
  static auto &sessions = *new Sessions;
  return sessions;
}

Status Unknown(uint32_t id, const char *what) {
  return static_cast<Status>(Fail(host_cann::kInvalidParam, "graph " + std::to_string(id) + " was never " + what));
}

Compiled Find(uint64_t session, uint32_t id) {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.graphs[session].find(id);
  return found == all.graphs[session].end() ? Compiled{} : found->second;
}

std::shared_ptr<Allocator> AllocatorOf(const void *stream) {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.allocators.find(stream);
  return found == all.allocators.end() ? nullptr : found->second;
}

host_cann::Feed FeedOf(const Tensor &tensor) {
  std::vector<int64_t> sizes;
  for (size_t d = 0; d < tensor.GetShapeDimNum(); ++d) sizes.push_back(tensor.GetShapeDim(d));
  return {host_cann::Contiguous(const_cast<uint8_t *>(tensor.GetData()),
                                static_cast<host_cann::DType>(tensor.GetDataType()), sizes),
          tensor.GetPlacement() == kPlacementHost};
}

// Gives a result its place: where the caller provided memory for just this shape, there; where not, in memory of the
// allocator that the caller registered for the stream.
class Results {
 public:
  Results(const void *stream, std::vector<Tensor> *outputs) : allocator_(AllocatorOf(stream)), outputs_(outputs) {}

  uint8_t *Place(size_t index, const host_cann::View &view) {
    auto &tensor = outputs_->at(index);
    if (tensor.GetData() != nullptr) return FeedOf(tensor).view.sizes == view.sizes ? tensor.GetData() : nullptr;
    tensor.SetShapeDimNum(view.sizes.size());
    for (size_t d = 0; d < view.sizes.size(); ++d) tensor.SetShapeDim(d, view.sizes[d]);
    tensor.SetDataType(static_cast<DataType>(view.dtype));
    tensor.SetFormat(FORMAT_ND);
    tensor.SetPlacement(kPlacementDevice);
    const auto bytes = static_cast<size_t>(view.count() * ElementSize(view.dtype));
    MemBlock *block = bytes == 0 || allocator_ == nullptr ? nullptr : allocator_->Malloc(bytes);
    if (block == nullptr) return nullptr;
    const auto free = [block, keep = allocator_](uint8_t *) { block->Free(); };
    tensor.SetData(static_cast<uint8_t *>(block->GetAddr()), bytes, free);
    return tensor.GetData();
  }

 private:
  std::shared_ptr<Allocator> allocator_;
  std::vector<Tensor> *outputs_;
};

// The sizes of a run that the graph was compiled without, as a gear is written.
std::string GearOf(const Model &model, const std::vector<host_cann::Feed> &feeds) {
  std::map<int64_t, std::string> by_input;
  for (const auto &node : model.nodes) {
    const auto index = static_cast<size_t>(node.Integer("index"));
    if (node.type != "Data" || index >= feeds.size()) continue;
    const auto &sizes = feeds[index].view.sizes;
    for (size_t d = 0; d < node.described.sizes.size() && d < sizes.size(); ++d) {
      if (node.described.sizes[d] < 0) by_input[static_cast<int64_t>(index)] += "," + std::to_string(sizes[d]);
    }
  }
  std::string gear;
  for (const auto &entry : by_input) gear += entry.second;
  return gear.empty() ? gear : gear.substr(1);
}

bool AllSizesKnown(const Model &model, std::vector<host_cann::Feed> *feeds) {
  bool all = true;
  for (const auto &node : model.nodes) {
    if (node.type != "Data") continue;
    const auto index = static_cast<size_t>(node.Integer("index"));
    if (feeds->size() <= index) feeds->resize(index + 1);
    (*feeds)[index].view = node.described;
    for (const auto size : node.described.sizes) all = all && size >= 0;
  }
  return all;
}

}  // namespace

Session::Session(const Options &) {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  session_id_ = all.next++;
}

Session::~Session() {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.graphs.erase(session_id_);
}

Status Session::AddGraph(uint32_t id, const Graph &graph, const Options &options) {
  if (graph.impl_ == nullptr) return Unknown(id, "loaded");
  if (const int status = host_cann::FaultyCall("ge::AddGraph")) return static_cast<Status>(status);
  for (const auto &node : graph.impl_->model->nodes) {
    if (const int status = host_cann::CheckNode(node)) return static_cast<Status>(status);
  }
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto gears = options.find("ge.dynamicDims");
  all.graphs[session_id_][id] = {graph.impl_->model, gears == options.end() ? "" : gears->second.GetString(), nullptr};
  return kSuccess;
}

Status Session::CompileGraph(uint32_t id) {
  const auto graph = Find(session_id_, id);
  if (graph.model == nullptr) return Unknown(id, "added");
  if (const int status = host_cann::FaultyCall("ge::CompileGraph")) return static_cast<Status>(status);
  std::vector<host_cann::Feed> feeds;
  host_cann::Plan plan;
  int status = host_cann::kNeedsValue;
  if (AllSizesKnown(*graph.model, &feeds)) status = MakePlan(graph.model, feeds, nullptr, &plan);
  if (status != 0 && status != host_cann::kNeedsValue) return static_cast<Status>(status);
  auto summary = std::make_shared<CompiledGraphSummary::SummaryData>();
  summary->is_static = status == 0;
  if (status == 0) summary->outputs = plan.outputs;
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.graphs[session_id_][id].summary = summary;
  return kSuccess;
}

std::shared_ptr<CompiledGraphSummary> Session::GetCompiledGraphSummary(uint32_t id) {
  const auto graph = Find(session_id_, id);
  if (graph.summary == nullptr) return Unknown(id, "compiled"), nullptr;
  return std::make_shared<CompiledGraphSummary>(graph.summary);
}

Status Session::RemoveGraph(uint32_t id) {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return all.graphs[session_id_].erase(id) == 1 ? kSuccess : Unknown(id, "added");
}

Status Session::RunGraph(uint32_t, const std::vector<Tensor> &, std::vector<Tensor> &) {
  return static_cast<Status>(host_cann::Refuse("ge::Session::RunGraph without a stream"));
}

Status Session::RunGraphWithStreamAsync(uint32_t id, void *stream_handle, const std::vector<Tensor> &inputs,
                                        std::vector<Tensor> &outputs) {
  const auto graph = Find(session_id_, id);
  if (graph.summary == nullptr) return Unknown(id, "compiled");
  auto *stream = host_cann::FindStream(stream_handle);
  if (stream == nullptr)
    return static_cast<Status>(Fail(host_cann::kInvalidParam, "the graph is run on what is not a live stream"));
  if (const int status = host_cann::FaultyCall("ge::RunGraphWithStreamAsync")) return static_cast<Status>(status);
  std::vector<host_cann::Feed> feeds;
  for (const auto &input : inputs) feeds.push_back(FeedOf(input));
  const auto gear = GearOf(*graph.model, feeds);
  if (!graph.gears.empty() && (";" + graph.gears + ";").find(";" + gear + ";") == std::string::npos) {
    return static_cast<Status>(
        Fail(host_cann::kInvalidParam, "the graph was compiled for the gears " + graph.gears + ", not for " + gear));
  }
  Results results(stream_handle, &outputs);
  auto plan = std::make_shared<host_cann::Plan>();
  const host_cann::Place place = [&](size_t index, const host_cann::View &view) { return results.Place(index, view); };
  const int status = MakePlan(graph.model, feeds, place, plan.get());
  if (status != 0) return static_cast<Status>(status == host_cann::kNeedsValue ? host_cann::kNotSupported : status);
  stream->Enqueue([plan, device = stream->device(), at = stream->id()] { return plan->Execute(device, at); });
  return kSuccess;
}

// Asked for no memory, the session is given addresses of none.
Status Session::SetGraphConstMemoryBase(uint32_t, const void *, size_t) { return kSuccess; }
Status Session::SetGraphFixedFeatureMemoryBase(uint32_t, const void *, size_t) { return kSuccess; }
Status Session::UpdateGraphFeatureMemoryBase(uint32_t, const void *, size_t) { return kSuccess; }
Status Session::UpdateGraphRefreshableFeatureMemoryBase(uint32_t, const void *, size_t) { return kSuccess; }

Status Session::RegisterExternalAllocator(const void *stream, std::shared_ptr<Allocator> allocator) const {
  auto &all = All();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.allocators[stream] = std::move(allocator);
  return kSuccess;
}

Status GEInitialize(const Options &) { return kSuccess; }
Status GEFinalize() { return kSuccess; }
std::string GEGetErrorMsg() { return host_cann::RecentError(); }
AscendString GEGetWarningMsgV2() { return ""; }

}  // namespace ge
