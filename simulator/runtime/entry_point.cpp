#include "entry_point.h"

#include <pthread.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <utility>

namespace host_cann {
namespace {

// One text for the process: torch_npu launches on a thread of its own and asks on another.
std::mutex mutex;
auto &text = *new std::string;

std::atomic<bool> forked{false};

}  // namespace

Refusal NotImplemented(const std::string &what) {
  return {kNotSupported, "the host stand-in for CANN does not implement " + what};
}

Refusal Caught() {
  try {
    throw;
  } catch (const Refusal &refusal) {
    return refusal;
  } catch (const std::bad_alloc &) {
    return {kOutOfMemory, "the host has no memory left"};
  } catch (const std::exception &error) {
    return {kInternal, error.what()};
  }
}

int KeepError(int code, const std::string &message) {
  const std::lock_guard<std::mutex> lock(mutex);
  text = message;
  return code;
}

std::string RecentError() {
  const std::lock_guard<std::mutex> lock(mutex);
  return std::exchange(text, "");
}

void UseDevice() {
  // No thread of the parent holds the mutex while it forks, or the child could not even say why it is refused.
  static const int once = pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); },
                                         [] {
                                           mutex.unlock();
                                           forked = true;
                                         });
  (void)once;
}

int RefusedAfterFork(const char *entry_point) {
  if (!forked.load(std::memory_order_relaxed)) return 0;
  return KeepError(kNoContext, std::string(entry_point) +
                                   ": the device cannot be used in a forked process whose parent used it; start the "
                                   "process by the method spawn");
}

}  // namespace host_cann

EXPORT const char *aclGetRecentErrMsg() {
  thread_local std::string message;
  message = host_cann::RecentError();
  return message.c_str();
}
