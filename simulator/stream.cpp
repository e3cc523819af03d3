#include "stream.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <utility>

#include "capture.h"
#include "device.h"
#include "refuse.h"

namespace host_cann {
namespace {

std::atomic<uint64_t> next_id{0};

}  // namespace

Stream::Stream(int device) : device_(device), id_(next_id++), worker_(&Stream::Work, this) {}

Stream::~Stream() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  worker_.join();
}

void Stream::Enqueue(Task task) {
  if (const auto capturing = capture()) {
    capturing->Record(this, std::move(task));
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(task));
    ++pending_;
  }
  wake_.notify_one();
}

int Stream::Synchronize(int64_t timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto done = [this] { return pending_ == 0; };
  if (timeout_ms < 0) {
    idle_.wait(lock, done);
  } else if (!idle_.wait_for(lock, std::chrono::milliseconds(timeout_ms), done)) {
    return Fail(kTimeout,
                "stream " + std::to_string(id_) + " did not finish within " + std::to_string(timeout_ms) + " ms");
  }
  return failure_ == 0 ? 0 : Fail(std::exchange(failure_, 0), reason_);
}

void Stream::StartCapture(std::shared_ptr<Capture> capture) {
  const std::lock_guard<std::mutex> lock(mutex_);
  capture_ = std::move(capture);
}

std::shared_ptr<Capture> Stream::capture() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return capture_;
}

bool Stream::Idle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return pending_ == 0;
}

void Stream::Work() {
  SetCurrentDevice(device_);
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const int status = task();
    task = nullptr;  // what it holds is released before the stream can look idle
    lock.lock();
    if (status != 0 && failure_ == 0) {
      failure_ = status;
      reason_ = "stream " + std::to_string(id_) + " failed with " + std::to_string(status) + ": " + LastError();
      std::fprintf(stderr, "host stand-in for CANN: %s\n", reason_.c_str());  // torch_npu's exception may leave it out
    }
    if (--pending_ == 0) idle_.notify_all();
  }
}

}  // namespace host_cann
