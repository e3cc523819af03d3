#include "plan.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "elementwise.h"
#include "node_types.h"

namespace host_cann {
namespace {

class Planner {
 public:
  Planner(const std::shared_ptr<const Model> &model, const std::vector<Operand> &feeds, const Places &place)
      : model_(*model), feeds_(feeds), place_(place), values_(model->nodes.size()) {
    plan_.kept.push_back(model);
  }

  Plan Make() {
    for (const auto &node : model_.nodes) {
      if (node.type != "NetOutput") continue;
      for (const auto &input : node.inputs) {
        if (input.node >= 0) results_.push_back({input.node, input.output, false});
      }
    }
    for (size_t i = 0; i < model_.nodes.size(); ++i) {
      const auto &node = model_.nodes[i];
      if (node.type == "Data") {
        values_[i] = {Feed(node)};
      } else if (node.type == "Const") {
        values_[i] = {{"", std::get<Constant>(*node.Find("value")).view, true, true}};
      } else if (node.type != "NetOutput") {
        try {
          Operation(node, i);
        } catch (...) {
          RefuseNode(node);
        }
      }
    }
    Finish();
    return std::move(plan_);
  }

 private:
  struct Result {
    int node, output;
    bool placed;  // the node itself writes it
  };

  Operand Feed(const Node &node) {
    const auto name = "input " + std::to_string(node.index()) + " of the graph";
    if (node.index() >= feeds_.size()) Invalid(name + " is not fed", kInvalidParam);
    Operand feed = feeds_[node.index()];
    auto &view = feed.view;
    const auto &expected = node.described.sizes;
    // torchair describes a number as [] and feeds it as [1].
    if (expected.empty() && view.count() == 1) view = Contiguous(view.data, view.dtype, {});
    const auto fits = [](int64_t wanted, int64_t size) { return wanted < 0 || wanted == size; };
    if (view.dtype != node.described.dtype ||
        !std::equal(expected.begin(), expected.end(), view.sizes.begin(), view.sizes.end(), fits)) {
      Invalid(name + " is " + Described(view) + ", it was compiled for " + Described(node.described), kInvalidParam);
    }
    DemandTensor(view);
    if (feed.on_host && view.data == nullptr && view.count() > 0) Invalid(name + " has no data", kInvalidParam);
    if (feed.on_host && view.data != nullptr) {  // the caller may change it as soon as the launch returns
      const auto *given = view.data;
      view.data = Buffer(view);
      feed.known = true;
      std::memcpy(view.data, given, view.bytes());
    }
    return feed;
  }

  const Operand &ValueOf(int node, int output) const {
    const auto &values = values_.at(static_cast<size_t>(node));
    if (static_cast<size_t>(output) >= values.size())
      Invalid("the node " + model_.nodes[static_cast<size_t>(node)].name + " has no output " + std::to_string(output),
              kInvalidParam);
    return values[static_cast<size_t>(output)];
  }

  void Operation(const Node &node, size_t i) {
    Call call("graph node", node.type);
    call.attributes = node.attributes;
    const auto *type = FindNodeType(node.type);
    for (const auto &input : node.inputs) {
      call.inputs.push_back(input.node < 0 ? Operand{} : ValueOf(input.node, input.output));
      call.inputs.back().name = input.name;
    }
    type->describe(call);
    const bool known = std::all_of(call.inputs.begin(), call.inputs.end(), [](const Operand &input) {
      return input.known || !input.read || !input.view.given();
    });
    if (call.results.size() != node.output_names.size())
      Invalid("there are " + std::to_string(node.output_names.size()) + " outputs, not " +
                  std::to_string(call.results.size()),
              kInvalidParam);
    for (const auto &[dtype, sizes, exact] : call.results) {
      const auto &name = node.output_names[call.outputs.size()];
      DemandTensor({nullptr, dtype, sizes, {}});
      call.outputs.push_back({name, Contiguous(nullptr, dtype, sizes), true, known});
      Locate(static_cast<int>(i), static_cast<int>(call.outputs.size()) - 1, &call.outputs.back());
    }
    values_[i] = call.outputs;
    if (known) {
      RunNow(call);
    } else if (place_ != nullptr) {
      plan_.calls.push_back(std::move(call));
    }
  }

  static void RunNow(const Call &call) {
    Views inputs, outputs;
    for (const auto &input : call.inputs) inputs.push_back(input.view);
    for (const auto &output : call.outputs) outputs.push_back(output.view);
    call.work(inputs, outputs);
  }

  // A result of the graph is written where the caller wants it, everything else to the host's memory.
  void Locate(int node, int output, Operand *value) {
    if (place_ == nullptr && !value->known) return;
    for (size_t i = 0; i < results_.size() && !value->known; ++i) {
      auto &result = results_[i];
      if (result.node != node || result.output != output || result.placed) continue;
      *value = {value->name, Placed(i, value->view)};
      result.placed = true;
      return;
    }
    value->view.data = Buffer(value->view);
  }

  View Placed(size_t result, View view) {
    view.data = place_(result, view);
    if (view.data == nullptr && view.count() > 0)
      Invalid("there is no memory for result " + std::to_string(result), kOutOfMemory);
    return view;
  }

  uint8_t *Buffer(const View &view) {
    std::shared_ptr<void> memory(std::malloc(std::max<size_t>(view.bytes(), 1)), std::free);
    if (memory == nullptr) Invalid("the host has no " + std::to_string(view.bytes()) + " bytes", kOutOfMemory);
    plan_.kept.push_back(memory);
    return static_cast<uint8_t *>(memory.get());
  }

  // What no node writes to its place is copied there: constants, inputs, and a result that is asked for twice.
  void Finish() {
    for (size_t i = 0; i < results_.size(); ++i) {
      auto value = ValueOf(results_[i].node, results_[i].output);
      const View result = Contiguous(nullptr, value.view.dtype, value.view.sizes);
      plan_.outputs.push_back(result);
      if (place_ == nullptr || results_[i].placed) continue;
      Call call("graph node", "NetOutput");
      value.name = "input" + std::to_string(i);
      call.inputs = {std::move(value)};
      call.outputs = {{"output" + std::to_string(i), Placed(i, result)}};
      call.work = [](const Views &in, Views &out) { Copy(in[0], out[0]); };
      plan_.calls.push_back(std::move(call));
    }
  }

  const Model &model_;
  const std::vector<Operand> &feeds_;
  const Places &place_;
  Plan plan_;
  std::vector<std::vector<Operand>> values_;  // of each node's outputs
  std::vector<Result> results_;
};

}  // namespace

Plan MakePlan(const std::shared_ptr<const Model> &model, const std::vector<Operand> &feeds, const Places &place) {
  return Planner(model, feeds, place).Make();
}

}  // namespace host_cann
