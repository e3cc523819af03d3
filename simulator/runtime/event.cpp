// Events: a point in a stream that another stream or the host can wait for.
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "capture.h"
#include "registry.h"
#include "stream.h"

namespace host_cann {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBadEvent = 107004;  // ACL_ERROR_RT_EVENT_...: not an event
constexpr int kNotRecorded = 107005;

// Every record has a number; a wait is for the record that was the last when the wait was issued.
class Event {
 public:
  struct State {
    uint64_t recorded = 0, reached = 0;
    Clock::time_point when;
    std::shared_ptr<Capture> capture;  // of a record while its stream was being captured
    const Stream *stream = nullptr;
    uint64_t launched = 0;

    bool complete() const { return reached == recorded; }
    bool captured() const { return capture != nullptr && capture->active; }
  };

  State state() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }

  uint64_t Record() {
    const std::lock_guard<std::mutex> lock(mutex_);
    state_.capture = nullptr;
    return ++state_.recorded;
  }
  void RecordIn(const std::shared_ptr<Capture> &capture, const Stream *stream) {
    const std::lock_guard<std::mutex> lock(mutex_);
    state_.capture = capture;
    state_.stream = stream;
    state_.launched = capture->Launched(stream);
  }
  void Reach(uint64_t record) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      state_.reached = std::max(state_.reached, record);
      state_.when = Clock::now();
    }
    reached_.notify_all();
  }
  void Wait(uint64_t record) {
    std::unique_lock<std::mutex> lock(mutex_);
    reached_.wait(lock, [&] { return state_.reached >= record; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable reached_;
  State state_;
};

auto &events = *new Registry<void *, Event>(kBadEvent, "not a live event");

int Create(const char *call, void **event) {
  return EntryPoint(call, [&] { Place(event) = events.Add(std::make_shared<Event>()); });
}

// The state of an event that no capture keeps from the host.
Event::State UncapturedState(const char *call, void *event) {
  const auto state = events.Get(event)->state();
  if (state.captured())
    state.capture->Invalidate(kEventCaptured, call, "the event was recorded on a stream that is being captured");
  return state;
}

}  // namespace

EXPORT int aclrtCreateEvent(void **event) { return Create(__func__, event); }
EXPORT int aclrtCreateEventWithFlag(void **event, uint32_t) { return Create(__func__, event); }
EXPORT int aclrtCreateEventExWithFlag(void **event, uint32_t) { return Create(__func__, event); }

ENTRY_POINT(aclrtDestroyEvent, (void *event), events.Remove(event))

EXPORT int aclrtRecordEvent(void *handle, void *stream_handle) {
  return LaunchPoint(__func__, stream_handle, [&] {
    const auto event = events.Get(handle);
    const auto stream = StreamOf(stream_handle);
    if (const auto capture = stream->capture()) return event->RecordIn(capture, stream.get());
    stream->Enqueue([event, record = event->Record()](const Stream &) { event->Reach(record); });
  });
}

EXPORT int aclrtStreamWaitEvent(void *stream_handle, void *handle) {
  return LaunchPoint(__func__, stream_handle, [&] {
    const auto event = events.Get(handle);
    const auto state = event->state();
    const auto stream = StreamOf(stream_handle);
    const auto capture = stream->capture();
    if (state.captured()) {
      if (capture == nullptr) {
        state.capture->Join(stream);
      } else if (capture != state.capture) {
        capture->Invalidate(kEventCaptured, "aclrtStreamWaitEvent", "the event belongs to another capture");
      }
      return state.capture->Wait(stream.get(), state.stream, state.launched);
    }
    if (capture == nullptr) {
      stream->Enqueue([event, record = state.recorded](const Stream &) { event->Wait(record); });
    } else if (!state.complete()) {
      capture->Invalidate(kCaptureForbids, "aclrtStreamWaitEvent",
                          "a captured stream cannot wait for work outside of the capture");
    }
  });
}

EXPORT int aclrtSynchronizeEvent(void *event) {
  return EntryPoint(__func__, [&] {
    const auto state = UncapturedState("aclrtSynchronizeEvent", event);
    events.Get(event)->Wait(state.recorded);
  });
}

// The waiting stream's order already holds; there is nothing to take back.
ENTRY_POINT(aclrtResetEvent, (void *event, void *), events.Get(event))

// ACL_EVENT_RECORDED_STATUS_COMPLETE, _NOT_READY
ENTRY_POINT(aclrtQueryEventStatus, (void *event, int *status),
            Place(status) = UncapturedState("aclrtQueryEventStatus", event).complete() ? 1 : 0)

// ACL_EVENT_WAIT_STATUS_COMPLETE, _NOT_READY
ENTRY_POINT(aclrtQueryEventWaitStatus, (void *event, int *status),
            Place(status) = events.Get(event)->state().complete() ? 0 : 1)

EXPORT int aclrtEventElapsedTime(float *ms, void *start, void *end) {
  return EntryPoint(__func__, [&] {
    const auto first = events.Get(start)->state(), last = events.Get(end)->state();
    for (const auto &state : {first, last}) {
      if (state.recorded == 0 || !state.complete())
        throw Refusal{kNotRecorded, "both events must be recorded and complete"};
    }
    Place(ms) = std::chrono::duration<float, std::milli>(last.when - first.when).count();
  });
}

}  // namespace host_cann
