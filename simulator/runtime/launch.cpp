#include "launch.h"

#include <atomic>
#include <chrono>
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

}  // namespace

void Run(const Launched &launched, const Stream &on, const std::function<void()> &work,
         const std::function<void(JsonObject &)> &describe) {
  RunInjectedFault(launched.name);
  const double start = Now();
  try {
    work();
  } catch (...) {
    const auto [code, why] = Caught();
    throw Refusal{code, launched.name + ": " + why};
  }
  if (!logging.load(std::memory_order_relaxed)) return;
  JsonObject line;
  line.Add("kind", launched.kind).Add("name", launched.name);
  line.Add("device", int64_t{on.device()}).Add("stream", static_cast<int64_t>(on.id()));
  line.AddMicroseconds("start", start).AddMicroseconds("duration", Now() - start);
  describe(line);
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
