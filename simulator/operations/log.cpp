#include "log.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>

namespace host_cann {
namespace {

std::atomic<bool> logging{false};
std::mutex mutex;
auto &lines = *new std::string;  // never destroyed: workers may still write

double Now() {  // microseconds of one clock for the process
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double, std::micro>(Clock::now().time_since_epoch()).count();
}

template <class... Values>
std::string Print(const char *format, Values... values) {
  char text[48];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string Json(const std::string &text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? Print("\\u%04x", c) : std::string(1, c);
  }
  return quoted + "\"";
}
std::string Json(bool value) { return value ? "true" : "false"; }
std::string Json(int64_t value) { return std::to_string(value); }
std::string Json(double value) {
  if (std::isnan(value)) return "\"nan\"";
  return std::isinf(value) ? (value > 0 ? "\"inf\"" : "\"-inf\"") : Print("%.9g", value);
}
std::string Json(const std::vector<int64_t> &values) { return Sizes(values); }
std::string Json(const Constant &) { return "\"a tensor\""; }

// name: value, one behind the other.
class Object {
 public:
  Object &Add(const std::string &name, const std::string &json) {
    text_ += (text_.empty() ? "" : ", ") + Json(name) + ": " + json;
    return *this;
  }
  std::string text() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string Tensors(const std::vector<Operand> &operands) {
  Object tensors;
  for (const auto &operand : operands) {
    const auto &view = operand.view;
    if (!view.given() || !operand.read || operand.number != nullptr) continue;
    Object tensor;
    tensor.Add("shape", Json(view.sizes)).Add("strides", Json(view.strides));
    tensor.Add("dtype", Json(std::string(DTypeName(view.dtype))));
    tensors.Add(operand.name, tensor.text());
  }
  return tensors.text();
}

std::string Values(const Launch &launch) {
  Object values;
  for (const auto &[name, attribute] : launch.attributes)
    values.Add(name, std::visit([](const auto &value) { return Json(value); }, attribute));
  for (const auto &input : launch.inputs) {
    if (input.number != nullptr) values.Add(input.name, Json(input.number->value));
  }
  return values.text();
}

}  // namespace

void Run(const Launch &launch, const Stream &on, const std::function<void()> &work) {
  RunInjectedFault(launch.name);
  const double start = Now();
  try {
    work();
  } catch (...) {
    const auto [code, why] = Caught();
    throw Refusal{code, launch.name + ": " + why};
  }
  if (!logging.load(std::memory_order_relaxed)) return;
  Object line;
  line.Add("kind", Json(std::string(launch.kind))).Add("name", Json(launch.name));
  line.Add("device", std::to_string(on.device())).Add("stream", std::to_string(on.id()));
  line.Add("start", Print("%.3f", start)).Add("duration", Print("%.3f", Now() - start));
  line.Add("inputs", Tensors(launch.inputs)).Add("outputs", Tensors(launch.outputs));
  line.Add("attributes", Values(launch));
  const std::lock_guard<std::mutex> lock(mutex);
  lines += line.text() + "\n";
}

}  // namespace host_cann

// The stand-in's own control, called by simulator/recording.py.
EXPORT void host_cann_log_start() { host_cann::logging = true; }
EXPORT void host_cann_log_stop() { host_cann::logging = false; }

// The lines since the last call; valid until the calling thread calls again.
EXPORT const char *host_cann_log_take() {
  thread_local std::string taken;
  taken.clear();
  const std::lock_guard<std::mutex> lock(host_cann::mutex);
  taken.swap(host_cann::lines);
  return taken.c_str();
}
