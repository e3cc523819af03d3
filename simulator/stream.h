// Streams run their tasks in order on a worker thread of their own; events order streams.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace host_cann {

// A task returns 0 or an error code of the runtime; a failure is kept and reported by the next synchronisation.
using Task = std::function<int()>;

class Capture;

class Stream {
 public:
  explicit Stream(int device);
  ~Stream();  // runs what is queued, then ends the worker
  Stream(const Stream &) = delete;

  void Enqueue(Task task);                   // or, while the stream is being captured, keep it
  int Synchronize(int64_t timeout_ms = -1);  // the first failure since the last call, or 0
  bool Idle();
  void StartCapture(std::shared_ptr<Capture> capture);  // null ends it
  std::shared_ptr<Capture> capture();
  int device() const { return device_; }
  uint64_t id() const { return id_; }

 private:
  void Work();

  const int device_;
  const uint64_t id_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Task> queue_;
  size_t pending_ = 0;  // queued and running: a popped task is not yet done
  int failure_ = 0;
  std::string reason_;  // of the failure; the synchronisation that reports it may be far away
  bool stop_ = false;
  std::shared_ptr<Capture> capture_;
  std::thread worker_;
};

// The stream behind a handle; a null handle is the default stream of the calling thread's device.
// Null when the handle is not a live stream.
Stream *FindStream(void *handle);

}  // namespace host_cann
