// Events: a point in a stream that another stream or the host can wait for.
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "capture.h"
#include "export.h"
#include "refuse.h"
#include "stream.h"

namespace host_cann {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBadEvent = 107004;  // ACL_ERROR_RT_EVENT_...: not an event
constexpr int kNotRecorded = 107005;

// Every record has a number; a wait is for the record that was the last when the wait was issued.
struct Event {
  std::mutex mutex;
  std::condition_variable reached_changed;
  uint64_t recorded = 0, reached = 0;
  Clock::time_point when;

  // Of a record while its stream was being captured.
  std::shared_ptr<Capture> capture;
  Stream *stream = nullptr;
  uint64_t launched = 0;

  bool Captured() {
    const std::lock_guard<std::mutex> lock(mutex);
    return capture != nullptr && capture->active();
  }

  void Wait(uint64_t record) {
    std::unique_lock<std::mutex> lock(mutex);
    reached_changed.wait(lock, [&] { return reached >= record; });
  }
  bool Complete() {
    const std::lock_guard<std::mutex> lock(mutex);
    return reached == recorded;
  }
  uint64_t Recorded() {
    const std::lock_guard<std::mutex> lock(mutex);
    return recorded;
  }
};

std::mutex registry_mutex;
std::map<void *, std::shared_ptr<Event>> &Events() {
  static auto &events = *new std::map<void *, std::shared_ptr<Event>>;
  return events;
}

std::shared_ptr<Event> Lookup(void *handle) {
  const std::lock_guard<std::mutex> lock(registry_mutex);
  const auto found = Events().find(handle);
  return found == Events().end() ? nullptr : found->second;
}

int BadEvent(const char *call) { return Fail(kBadEvent, std::string(call) + ": not a live event"); }

int CapturedEvent(const char *call, Event &event) {
  if (!event.Captured()) return 0;
  return event.capture->Invalidate(kEventCaptured,
                                   std::string(call) + ": the event was recorded on a stream that is being captured");
}

int Create(void **handle) {
  auto event = std::make_shared<Event>();
  *handle = event.get();
  const std::lock_guard<std::mutex> lock(registry_mutex);
  Events().emplace(*handle, std::move(event));
  return 0;
}

}  // namespace
}  // namespace host_cann

using namespace host_cann;  // NOLINT: the entry points are this file's other half

EXPORT int aclrtCreateEvent(void **event) { return Create(event); }
EXPORT int aclrtCreateEventWithFlag(void **event, uint32_t) { return Create(event); }
EXPORT int aclrtCreateEventExWithFlag(void **event, uint32_t) { return Create(event); }

EXPORT int aclrtDestroyEvent(void *handle) {
  const std::lock_guard<std::mutex> lock(registry_mutex);
  return Events().erase(handle) == 1 ? 0 : BadEvent("aclrtDestroyEvent");
}

EXPORT int aclrtRecordEvent(void *handle, void *stream_handle) {
  const auto event = Lookup(handle);
  auto *stream = FindStream(stream_handle);
  if (event == nullptr) return BadEvent("aclrtRecordEvent");
  if (stream == nullptr) return Fail(kInvalidParam, "aclrtRecordEvent: not a live stream");
  uint64_t record = 0;
  const auto capture = stream->capture();
  {
    const std::lock_guard<std::mutex> lock(event->mutex);
    event->capture = capture;
    event->stream = stream;
    if (capture != nullptr) {
      event->launched = capture->Launched(stream);
      return 0;
    }
    record = ++event->recorded;
  }
  stream->Enqueue([event, record] {
    {
      const std::lock_guard<std::mutex> lock(event->mutex);
      if (event->reached < record) event->reached = record;
      event->when = Clock::now();
    }
    event->reached_changed.notify_all();
    return 0;
  });
  return 0;
}

EXPORT int aclrtStreamWaitEvent(void *stream_handle, void *handle) {
  const auto event = Lookup(handle);
  auto *stream = FindStream(stream_handle);
  if (event == nullptr) return BadEvent("aclrtStreamWaitEvent");
  if (stream == nullptr) return Fail(kInvalidParam, "aclrtStreamWaitEvent: not a live stream");
  const auto capture = stream->capture();
  if (event->Captured()) {
    if (capture == nullptr) {
      event->capture->Join(stream);
    } else if (capture != event->capture) {
      return capture->Invalidate(kEventCaptured, "aclrtStreamWaitEvent: the event belongs to another capture");
    }
    event->capture->Joined(event->stream, event->launched);
    event->capture->Record(stream, nullptr);
    return 0;
  }
  if (capture != nullptr) {
    if (event->Complete()) return 0;
    return capture->Invalidate(kCaptureForbids,
                               "aclrtStreamWaitEvent: a captured stream cannot wait for work outside of the capture");
  }
  stream->Enqueue([event, record = event->Recorded()] {
    event->Wait(record);
    return 0;
  });
  return 0;
}

EXPORT int aclrtSynchronizeEvent(void *handle) {
  const auto event = Lookup(handle);
  if (event == nullptr) return BadEvent("aclrtSynchronizeEvent");
  if (const int status = CapturedEvent("aclrtSynchronizeEvent", *event)) return status;
  event->Wait(event->Recorded());
  return 0;
}

// The waiting stream's order already holds; there is nothing to take back.
EXPORT int aclrtResetEvent(void *handle, void *) { return Lookup(handle) == nullptr ? BadEvent("aclrtResetEvent") : 0; }

EXPORT int aclrtQueryEventStatus(void *handle, int *status) {
  const auto event = Lookup(handle);
  if (event == nullptr) return BadEvent("aclrtQueryEventStatus");
  if (const int code = CapturedEvent("aclrtQueryEventStatus", *event)) return code;
  *status = event->Complete() ? 1 : 0;  // ACL_EVENT_RECORDED_STATUS_COMPLETE, _NOT_READY
  return 0;
}

EXPORT int aclrtQueryEventWaitStatus(void *handle, int *status) {
  const auto event = Lookup(handle);
  if (event == nullptr) return BadEvent("aclrtQueryEventWaitStatus");
  *status = event->Complete() ? 0 : 1;  // ACL_EVENT_WAIT_STATUS_COMPLETE, _NOT_READY
  return 0;
}

EXPORT int aclrtEventElapsedTime(float *ms, void *start_handle, void *end_handle) {
  const auto start = Lookup(start_handle), end = Lookup(end_handle);
  if (start == nullptr || end == nullptr) return BadEvent("aclrtEventElapsedTime");
  if (start->Recorded() == 0 || end->Recorded() == 0 || !start->Complete() || !end->Complete()) {
    return Fail(kNotRecorded, "aclrtEventElapsedTime: both events must be recorded and complete");
  }
  *ms = std::chrono::duration<float, std::milli>(end->when - start->when).count();
  return 0;
}
