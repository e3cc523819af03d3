#include "entry_point.h"

#include <exception>
#include <mutex>
#include <utility>

namespace host_cann {
namespace {

// One text for the process: torch_npu launches on a thread of its own and asks on another.
std::mutex mutex;
auto &text = *new std::string;

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

}  // namespace host_cann

EXPORT const char *aclGetRecentErrMsg() {
  thread_local std::string message;
  message = host_cann::RecentError();
  return message.c_str();
}
