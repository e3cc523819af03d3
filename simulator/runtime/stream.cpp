#include "stream.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "capture.h"
#include "device.h"
#include "registry.h"

namespace host_cann {
namespace {

constexpr int kBadStream = 107003;  // ACL_ERROR_RT_STREAM_CONTEXT

std::atomic<uint64_t> next_id{0};
auto &streams = *new Registry<void *, Stream>(kBadStream, "the stream was never created or is destroyed");
auto &default_streams = *new Registry<int, Stream>(kBadStream, "the device has no stream");

int Create(const char *call, void **handle) {
  return EntryPoint(call, [&] { Place(handle) = streams.Add(std::make_shared<Stream>(CurrentDevice())); });
}

std::shared_ptr<Stream> UncapturedStream(const char *call, void *handle) {
  auto stream = StreamOf(handle);
  if (const auto capture = stream->capture())
    capture->Invalidate(kStreamCaptured, call, "the stream is being captured");
  return stream;
}

int SynchronizeStream(void *handle, int64_t timeout_ms) {
  constexpr const char *kCall = "aclrtSynchronizeStream";
  return EntryPoint(kCall, [&] { UncapturedStream(kCall, handle)->Synchronize(timeout_ms); });
}

int SynchronizeDevice(int64_t timeout_ms) {
  constexpr const char *kCall = "aclrtSynchronizeDevice";
  return EntryPoint(kCall, [&] {
    const int device = CurrentDevice();
    ForbidWhileCapturing(kCall);
    SynchronizeAll(device, timeout_ms);
  });
}

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
  if (const auto capturing = capture()) return capturing->Record(this, std::move(task));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(task));
    ++pending_;
  }
  wake_.notify_one();
}

void Stream::Fail(const Refusal &refusal) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure_) return;
  const auto code = std::to_string(refusal.code);
  failure_ = {refusal.code, "stream " + std::to_string(id_) + " failed with " + code + ": " + refusal.why};
  std::fprintf(stderr, "host stand-in for CANN: %s\n", failure_->why.c_str());  // torch_npu may leave it out
}

void Stream::Synchronize(int64_t timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto done = [this] { return pending_ == 0; };
  if (timeout_ms < 0) {
    idle_.wait(lock, done);
  } else if (!idle_.wait_for(lock, std::chrono::milliseconds(timeout_ms), done)) {
    throw Refusal{kTimeout,
                  "stream " + std::to_string(id_) + " did not finish within " + std::to_string(timeout_ms) + " ms"};
  }
  if (const auto failure = std::exchange(failure_, std::nullopt)) throw Refusal(*failure);
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
    try {
      task(*this);
    } catch (...) {
      Fail(Caught());
    }
    task = nullptr;  // what it holds is released before the stream can look idle
    lock.lock();
    if (--pending_ == 0) idle_.notify_all();
  }
}

std::shared_ptr<Stream> StreamOf(void *handle) {
  if (handle != nullptr) return streams.Get(handle);
  const int device = CurrentDevice();
  static std::mutex creation;
  const std::lock_guard<std::mutex> lock(creation);
  if (default_streams.Find(device) == nullptr) default_streams.Set(device, std::make_shared<Stream>(device));
  return default_streams.Get(device);
}

void SynchronizeAll(int device, int64_t timeout_ms) {
  auto all = streams.All();
  all.push_back(default_streams.Find(device));
  std::optional<Refusal> first;
  for (const auto &stream : all) {
    if (stream == nullptr || stream->device() != device) continue;
    try {
      stream->Synchronize(timeout_ms);
    } catch (const Refusal &refusal) {
      if (!first) first = refusal;
    }
  }
  if (first) throw Refusal(*first);
}

void Enqueue(void *stream, Task task) { StreamOf(stream)->Enqueue(std::move(task)); }

bool OnLaunchThread() {
  char name[16] = "";
  return pthread_getname_np(pthread_self(), name, sizeof name) == 0 && std::strcmp(name, "acl_thread") == 0;
}

int LeftOnStream(void *stream, int status) {
  if (status == 0 || !OnLaunchThread()) return status;
  // Of 207000 torch_npu only warns when it synchronises.
  const Refusal refusal{status == kNotSupported ? kInternal : status, RecentError()};
  try {
    const auto on = StreamOf(stream);
    if (const auto capture = on->capture()) {
      capture->Refuse(refusal.why);
    } else {
      on->Fail(refusal);
    }
  } catch (const Refusal &) {  // there is no such stream, which is why the launch was refused
    return KeepError(status, refusal.why);
  }
  return 0;
}

EXPORT int aclrtCreateStream(void **stream) { return Create(__func__, stream); }
EXPORT int aclrtCreateStreamWithConfig(void **stream, uint32_t, uint32_t) {
  return Create("aclrtCreateStream", stream);
}

EXPORT int aclrtDestroyStream(void *stream) {
  return EntryPoint(__func__, [&] {
    if (stream != nullptr) UncapturedStream("aclrtDestroyStream", stream);
    streams.Remove(stream);
  });
}
EXPORT int aclrtDestroyStreamForce(void *stream) { return aclrtDestroyStream(stream); }

EXPORT int aclrtSynchronizeStream(void *stream) { return SynchronizeStream(stream, -1); }
EXPORT int aclrtSynchronizeStreamWithTimeout(void *stream, int32_t ms) { return SynchronizeStream(stream, ms); }
EXPORT int aclrtSynchronizeDevice() { return SynchronizeDevice(-1); }
EXPORT int aclrtSynchronizeDeviceWithTimeout(int32_t ms) { return SynchronizeDevice(ms); }

// ACL_STREAM_STATUS_COMPLETE, _NOT_READY
ENTRY_POINT(aclrtStreamQuery, (void *stream, int *status),
            Place(status) = UncapturedStream("aclrtStreamQuery", stream)->Idle() ? 0 : 1)

ENTRY_POINT(aclrtStreamGetId, (void *stream, int32_t *id), Place(id) = static_cast<int32_t>(StreamOf(stream)->id()))

}  // namespace host_cann
