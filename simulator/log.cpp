#include "log.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "export.h"

namespace host_cann {
namespace {

std::atomic<bool> logging{false};
std::mutex mutex;
std::string &Lines() {
  static auto &lines = *new std::string;
  return lines;
}

std::string Micro(double microseconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3f", microseconds);
  return text;
}

std::string Tensors(const std::vector<std::pair<std::string, View>> &tensors) {
  std::string text = "{";
  for (const auto &[name, view] : tensors) {
    if (text.size() > 1) text += ", ";
    text += Json(name) + ": {\"shape\": " + Sizes(view.sizes) + ", \"strides\": " + Sizes(view.strides) +
            ", \"dtype\": " + Json(std::string(DTypeName(view.dtype))) + "}";
  }
  return text + "}";
}

}  // namespace

bool Logging() { return logging.load(std::memory_order_relaxed); }

double Timer::Now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double, std::micro>(Clock::now().time_since_epoch()).count();
}

void Log(const Launch &launch, const Timer &timer) {
  std::string line = "{\"kind\": " + Json(std::string(launch.kind)) + ", \"name\": " + Json(launch.name) +
                     ", \"device\": " + std::to_string(launch.device) +
                     ", \"stream\": " + std::to_string(launch.stream) + ", \"start\": " + Micro(timer.start()) +
                     ", \"duration\": " + Micro(timer.elapsed()) + ", \"inputs\": " + Tensors(launch.inputs) +
                     ", \"outputs\": " + Tensors(launch.outputs) + ", \"attributes\": {";
  for (size_t i = 0; i < launch.attributes.size(); ++i) {
    line += (i == 0 ? "" : ", ") + Json(launch.attributes[i].first) + ": " + launch.attributes[i].second;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  Lines() += line + "}}\n";
}

std::string Json(const std::string &text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
      quoted += escaped;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string Json(bool value) { return value ? "true" : "false"; }
std::string Json(int64_t value) { return std::to_string(value); }
std::string Json(double value) {
  if (!std::isfinite(value))
    return Json(std::isnan(value) ? std::string("nan") : std::string(value > 0 ? "inf" : "-inf"));
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace host_cann

// The stand-in's own control, called by simulator/__init__.py.
EXPORT void host_cann_log_start() { host_cann::logging = true; }
EXPORT void host_cann_log_stop() { host_cann::logging = false; }

// The lines since the last call; valid until the calling thread calls again.
EXPORT const char *host_cann_log_take() {
  thread_local std::string taken;
  taken.clear();
  const std::lock_guard<std::mutex> lock(host_cann::mutex);
  taken.swap(host_cann::Lines());
  return taken.c_str();
}
