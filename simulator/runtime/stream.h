// Streams run their tasks in order on a worker thread of their own; events order streams.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "entry_point.h"
#include "limits.h"

namespace host_cann {

class Stream;
class Capture;

// Work on a stream; what it refuses is kept and reported by the next synchronisation.
using Task = std::function<void(const Stream &)>;

class Stream {
 public:
  explicit Stream(int device);
  ~Stream();  // runs what is queued, then ends the worker
  Stream(const Stream &) = delete;

  void Enqueue(Task task);                    // or, while the stream is being captured, keep it
  void Fail(const Refusal &refusal);          // for the next synchronisation, unless it has one to report
  void Synchronize(int64_t timeout_ms = -1);  // refuses with the first failure since the last call
  bool Idle();
  void StartCapture(std::shared_ptr<Capture> capture) { std::atomic_store(&capture_, std::move(capture)); }
  void EndCapture() { StartCapture(nullptr); }
  std::shared_ptr<Capture> capture() const { return std::atomic_load(&capture_); }
  int device() const { return device_; }
  uint64_t id() const { return id_; }

  Limits limits{};

 private:
  void Work();

  const int device_;
  const uint64_t id_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Task> queue_;
  size_t pending_ = 0;              // queued and running: a popped task is not yet done
  std::optional<Refusal> failure_;  // with its reason: the synchronisation that reports it may be far away
  bool stop_ = false;
  std::shared_ptr<Capture> capture_;
  std::thread worker_;
};

// The stream behind a handle, or a Refusal. A null handle is the default stream of the calling thread's device.
std::shared_ptr<Stream> StreamOf(void *handle);
void SynchronizeAll(int device, int64_t timeout_ms = -1);  // refuses with the first failure among the streams
void Enqueue(void *stream, Task task);

// torch_npu's launch thread ends for good with the first error that it meets, and drops all later launches without a
// word. On that thread what a launch refuses is therefore left on its stream, for the next synchronisation.
bool OnLaunchThread();
int LeftOnStream(void *stream, int status);

// An entry point that launches.
template <class Body>
int LaunchPoint(const char *name, void *stream, const Body &body) {
  return LeftOnStream(stream, EntryPoint(name, body));
}

}  // namespace host_cann
