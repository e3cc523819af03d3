#include "plan.h"

#include <cstdlib>
#include <cstring>

#include "node_types.h"
#include "ops.h"
#include "refuse.h"

namespace host_cann {
namespace {

struct Value {
  View view;
  bool on_host = true;
  bool known = false;  // computed already; such a value is on the host
};

class Planner {
 public:
  Planner(const Model &model, const std::vector<Feed> &feeds, const Place &place, Plan *plan)
      : model_(model), feeds_(feeds), place_(place), plan_(plan), values_(model.nodes.size()) {}

  int Run() {
    FindResults();
    for (size_t i = 0; i < model_.nodes.size(); ++i) {
      if (const int status = Visit(i)) return status;
    }
    return Finish();
  }

 private:
  struct Result {
    int node, output;
    bool placed;  // the node itself writes it
  };

  void FindResults() {
    for (const auto &node : model_.nodes) {
      if (node.type != "NetOutput") continue;
      for (const auto &input : node.inputs) {
        if (input.node >= 0) results_.push_back({input.node, input.output, false});
      }
    }
    plan_->outputs.resize(results_.size());
  }

  int Visit(size_t i) {
    const auto &node = model_.nodes[i];
    if (node.type == "Data") return Feed(node, i);
    if (node.type == "NetOutput") return 0;
    if (node.type == "Const") {
      values_[i] = {{node.attributes.at("value").view, true, true}};
      return 0;
    }
    return Operation(node, i);
  }

  int Feed(const Node &node, size_t i) {
    const auto index = static_cast<size_t>(node.Integer("index"));
    if (index >= feeds_.size())
      return Fail(kInvalidParam, "the graph has an input " + std::to_string(index) + " that is not fed");
    auto feed = feeds_[index];
    // torchair describes a number as [] and feeds it as [1].
    if (node.described.sizes.empty() && feed.view.count() == 1)
      feed.view = Contiguous(feed.view.data, feed.view.dtype, {});
    const auto &expected = node.described.sizes;
    bool fits = feed.view.dtype == node.described.dtype && feed.view.sizes.size() == expected.size();
    for (size_t d = 0; fits && d < expected.size(); ++d) fits = expected[d] < 0 || expected[d] == feed.view.sizes[d];
    if (!fits) {
      return Fail(kInvalidParam, "input " + std::to_string(index) + " of the graph is " + Described(feed.view) +
                                     ", it was compiled for " + Described(node.described));
    }
    Value value{feed.view, feed.on_host, false};
    if (feed.on_host && feed.view.data != nullptr) {  // the caller may change it as soon as the launch returns
      value.view.data = Buffer(feed.view);
      value.known = true;
      std::memcpy(value.view.data, feed.view.data,
                  static_cast<size_t>(feed.view.count() * ElementSize(feed.view.dtype)));
    }
    values_[i] = {value};
    return 0;
  }

  int Operation(const Node &node, size_t i) {
    NodeCall call(node);
    bool known = true;
    for (const auto &input : node.inputs) {
      if (input.node < 0) {
        call.inputs.emplace_back();
        call.known.push_back(true);
        continue;
      }
      const auto &value = values_[static_cast<size_t>(input.node)].at(static_cast<size_t>(input.output));
      call.inputs.emplace_back(value.view);
      call.known.push_back(value.known);
      known = known && value.known;
    }
    if (const int status = FindNodeType(node.type)->describe(call)) return status;
    known = known || call.sizes_suffice;
    for (size_t output = 0; output < call.outputs.size(); ++output) {
      Value value{call.outputs[output], true, known};
      if (!Locate(static_cast<int>(i), static_cast<int>(output), &value))
        return Fail(kOutOfMemory, "no memory for " + node.name);
      values_[i].push_back(value);
    }
    return known ? RunNow(call, i) : RunLater(call, i);
  }

  // A result of the graph is written where the caller wants it, everything else to the host's memory.
  bool Locate(int node, int output, Value *value) {
    if (place_ == nullptr && !value->known) return true;
    for (size_t i = 0; i < results_.size() && !value->known; ++i) {
      auto &result = results_[i];
      if (result.node != node || result.output != output || result.placed) continue;
      value->view.data = place_(i, value->view);
      value->on_host = false;
      result.placed = true;
      return value->view.data != nullptr || value->view.count() == 0;
    }
    value->view.data = Buffer(value->view);
    return value->view.data != nullptr;
  }

  uint8_t *Buffer(const View &view) {
    const auto bytes = static_cast<size_t>(view.count() * ElementSize(view.dtype));
    std::shared_ptr<void> memory(std::malloc(bytes > 0 ? bytes : 1), std::free);
    plan_->kept.push_back(memory);
    return static_cast<uint8_t *>(memory.get());
  }

  int RunNow(const NodeCall &call, size_t i) {
    Views outputs;
    for (const auto &value : values_[i]) outputs.emplace_back(value.view);
    return call.run(call.inputs, outputs);
  }

  int RunLater(const NodeCall &described, size_t i) {
    if (place_ == nullptr) return 0;
    const auto &node = described.node;
    Call call(node.type, "graph node");
    for (const auto &input : node.inputs) {
      if (input.node < 0) {
        call.In({input.name, {}, false});
      } else {
        const auto &value = values_[static_cast<size_t>(input.node)][static_cast<size_t>(input.output)];
        call.In({input.name, value.view, value.on_host});
      }
    }
    for (size_t output = 0; output < values_[i].size(); ++output) {
      call.Out({node.output_names[output], values_[i][output].view, values_[i][output].on_host});
    }
    for (const auto &[name, value] : node.attributes) {
      if (name[0] != '_') call.AttributeJson(name, value.json);
    }
    call.run = described.run;
    plan_->calls.push_back(std::move(call));
    return 0;
  }

  // What no node writes to its place is copied there: constants, inputs, and a result that is asked for twice.
  int Finish() {
    for (size_t i = 0; i < results_.size(); ++i) {
      const auto &value = values_[static_cast<size_t>(results_[i].node)].at(static_cast<size_t>(results_[i].output));
      plan_->outputs[i] = Contiguous(nullptr, value.view.dtype, value.view.sizes);
      if (place_ == nullptr || results_[i].placed) continue;
      Value result{plan_->outputs[i], false, false};
      result.view.data = place_(i, result.view);
      if (result.view.data == nullptr && result.view.count() > 0)
        return Fail(kOutOfMemory, "no memory for a result of the graph");
      Call call("NetOutput", "graph node");
      call.In({"input" + std::to_string(i), value.view, value.on_host});
      call.Out({"output" + std::to_string(i), result.view, false});
      call.run = [](const Views &in, const Views &out) { return Copy(*in[0], *out[0]), 0; };
      plan_->calls.push_back(std::move(call));
    }
    return 0;
  }

  const Model &model_;
  const std::vector<host_cann::Feed> &feeds_;
  const Place &place_;
  Plan *plan_;
  std::vector<std::vector<Value>> values_;
  std::vector<Result> results_;
};

}  // namespace

int Plan::Execute(int device, uint64_t stream) const {
  for (const auto &call : calls) {
    if (const int status = call.Execute(device, stream)) return status;
  }
  return 0;
}

int MakePlan(const std::shared_ptr<const Model> &model, const std::vector<Feed> &feeds, const Place &place,
             Plan *plan) {
  plan->kept.push_back(std::const_pointer_cast<Model>(model));
  return Planner(*model, feeds, place, plan).Run();
}

}  // namespace host_cann
