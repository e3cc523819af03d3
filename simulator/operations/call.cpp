#include "call.h"

#include <algorithm>
#include <sstream>

#include "elementwise.h"
#include "log.h"
#include "memory.h"

namespace host_cann {
namespace {

// Bytes from the first element to behind the last one.
size_t Span(const View &view) {
  if (view.count() == 0) return 0;
  int64_t last = 0;
  for (size_t i = 0; i < view.sizes.size(); ++i) last += (view.sizes[i] - 1) * view.strides[i];
  return static_cast<size_t>((last + 1) * ElementSize(view.dtype));
}

Views OnHost(const std::vector<Operand> &operands, int device) {
  Views views;
  for (const auto &operand : operands) {
    views.push_back(operand.view);
    const size_t span = operand.view.given() && operand.read ? Span(operand.view) : 0;
    if (span == 0 || operand.on_host) continue;
    views.back().data = Map(operand.view.data, span);
    if (views.back().data == nullptr)
      throw Refusal{kInternal, operand.name + " is " + Explain(operand.view.data, span)};
    if (DeviceOf(operand.view.data) != device)
      throw Refusal{kInternal,
                    operand.name + " is " + Explain(operand.view.data, span) + ", not on the stream's device"};
  }
  return views;
}

template <class T>
std::vector<T> Numbers(const Attribute &attribute) {
  if (const auto *list = std::get_if<std::vector<int64_t>>(&attribute)) return {list->begin(), list->end()};
  if (const auto *truth = std::get_if<bool>(&attribute)) return {static_cast<T>(*truth)};
  if (const auto *real = std::get_if<double>(&attribute)) return {Converted<T>(*real)};
  if (const auto *integer = std::get_if<int64_t>(&attribute)) return {static_cast<T>(*integer)};
  return {};
}

template <class T>
std::vector<T> Numbers(const Call &call, const char *parameter) {
  for (const auto &[name, attribute] : call.attributes) {
    if (name == parameter) return Numbers<T>(attribute);
  }
  for (const auto &input : call.inputs) {
    if (input.name != parameter || !input.view.given()) continue;
    if (input.known) return Values<T>(input.view);
    Invalid("the value of input " + input.name + " must be known before the run", kNeedsValue);
  }
  return {};
}

}  // namespace

std::vector<double> NumbersOf(const Attribute &attribute) { return Numbers<double>(attribute); }

std::vector<int64_t> Call::Integers(const char *parameter) const { return Numbers<int64_t>(*this, parameter); }

int64_t Call::Integer(const char *parameter, int64_t otherwise) const {
  const auto values = Integers(parameter);
  return values.empty() ? otherwise : values[0];
}

double Call::Real(const char *parameter, double otherwise) const {
  const auto values = Numbers<double>(*this, parameter);
  return values.empty() ? otherwise : values[0];
}

std::string Call::Text(const char *parameter, const char *otherwise) const {
  for (const auto &[name, attribute] : attributes) {
    if (name == parameter && std::holds_alternative<std::string>(attribute)) return std::get<std::string>(attribute);
  }
  return otherwise;
}

void Call::Execute(const Stream &on) const {
  const auto on_host = [&] {
    Views out = OnHost(outputs, on.device());
    work(OnHost(inputs, on.device()), out);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (out[i].sizes != outputs[i].view.sizes) outputs[i].described->view.sizes = out[i].sizes;
    }
  };
  Run(*this, on, on_host, [this](JsonObject &line) { Describe(*this, &line); });
}

View Optional(const Views &views, size_t place) { return place < views.size() ? views[place] : View{}; }

void Invalid(const std::string &why, int code) { throw Refusal{code, why}; }

void DemandContiguous(const Operand &operand) {
  if (operand.view.strides != ContiguousStrides(operand.view.sizes)) Invalid(operand.name + " is not contiguous");
}

void DemandNumber(const Operand &operand) {
  if (operand.view.count() != 1) Invalid(operand.name + " is " + Sizes(operand.view.sizes) + ", not one number");
}

void DemandTensor(const View &view) {
  constexpr size_t kMostDimensions = 64;  // torch's
  if (ElementSize(view.dtype) == 0)
    Invalid("the dtype " + std::to_string(static_cast<int>(view.dtype)) + " is unknown", kNotSupported);
  if (view.sizes.size() > kMostDimensions)
    Invalid(std::to_string(view.sizes.size()) + " dimensions are more than " + std::to_string(kMostDimensions));
  const auto room = static_cast<int64_t>(DeviceTotalBytes(0));
  int64_t bytes = ElementSize(view.dtype);
  for (const auto size : view.sizes) {
    if (size < 0) Invalid(Described(view) + " has a negative size");
    if (size != 0 && bytes > room / size)
      Invalid(Described(view) + " is more than the " + std::to_string(room) + " bytes of a device", kOutOfMemory);
    bytes *= std::max<int64_t>(size, 1);
  }
}

void DemandLogits(const char *name, DType dtype) {
  if (dtype != DType::kFloat && dtype != DType::kHalf && dtype != DType::kBFloat16)
    Invalid(std::string(name) + " is " + DTypeName(dtype));
}

std::vector<Parameter> Parameters(const char *names) {
  std::vector<Parameter> parameters;
  std::istringstream words(names);
  for (std::string word; words >> word;) {
    const size_t end = std::min(word.find_first_of("?!*-="), word.size());
    const char mark = end < word.size() ? word[end] : ' ';
    parameters.push_back({word.substr(0, end), mark == '=' ? word.substr(end + 1) : "", mark});
  }
  return parameters;
}

bool HasName(const std::vector<Parameter> &parameters, const std::string &name) {
  return std::any_of(parameters.begin(), parameters.end(), [&](const Parameter &p) { return p.name == name; });
}

}  // namespace host_cann
