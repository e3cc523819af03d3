// Functions of the host in the order of a stream: run by the stream itself, or by a thread that asks for them.
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "stream.h"

namespace host_cann {
namespace {

constexpr int kNoReport = 107012;  // ACL_ERROR_RT_THREAD_SUBSCRIBE, and a time-out of aclrtProcessReport

using Function = void (*)(void *);
struct Report {
  Function function;
  void *data;
  bool done = false;
};

std::mutex mutex;
std::condition_variable changed;
std::map<void *, uint64_t> subscribed;                            // stream -> thread
std::map<uint64_t, std::deque<std::shared_ptr<Report>>> reports;  // thread -> what it is to run

}  // namespace

ENTRY_POINT(aclrtLaunchHostFunc, (void *stream, Function function, void *data),
            Enqueue(stream, [=](const Stream &) { function(data); }))

EXPORT int aclrtSubscribeReport(uint64_t thread, void *stream) {
  return EntryPoint(__func__, [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    subscribed[stream] = thread;
    reports[thread];
    changed.notify_all();
  });
}

EXPORT int aclrtUnSubscribeReport(uint64_t, void *stream) {
  return EntryPoint(__func__, [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    if (subscribed.erase(stream) == 0) throw Refusal{kNoReport, "the stream is not subscribed"};
  });
}

EXPORT int aclrtLaunchCallback(Function function, void *data, int blocks, void *stream) {
  return EntryPoint(__func__, [&] {
    uint64_t thread = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      const auto found = subscribed.find(stream);
      if (found == subscribed.end()) throw Refusal{kNoReport, "no thread has subscribed to the stream"};
      thread = found->second;
    }
    Enqueue(stream, [=](const Stream &) {
      const auto report = std::make_shared<Report>(Report{function, data});
      std::unique_lock<std::mutex> lock(mutex);
      reports[thread].push_back(report);
      changed.notify_all();
      if (blocks != 0) changed.wait(lock, [&] { return report->done; });
    });
  });
}

// Runs one report for the calling thread, which subscribed by its pthread_self().
EXPORT int aclrtProcessReport(int32_t timeout_ms) {
  return EntryPoint(__func__, [&] {
    std::unique_lock<std::mutex> lock(mutex);
    auto &mine = reports[static_cast<uint64_t>(pthread_self())];
    const auto ready = [&] { return !mine.empty(); };
    if (timeout_ms < 0) {
      changed.wait(lock, ready);
    } else if (!changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready)) {
      throw Refusal{kNoReport, "nothing to report within " + std::to_string(timeout_ms) + " ms"};
    }
    const auto report = mine.front();
    mine.pop_front();
    lock.unlock();
    report->function(report->data);
    lock.lock();
    report->done = true;
    changed.notify_all();
  });
}

}  // namespace host_cann
