#include "refuse.h"

#include <mutex>

#include "export.h"

namespace host_cann {
namespace {

// One text for the process: torch_npu launches on a thread of its own and asks on another.
std::mutex mutex;
std::string &Text() {
  static auto &text = *new std::string;
  return text;
}

}  // namespace

int Fail(int code, const std::string &message) {
  const std::lock_guard<std::mutex> lock(mutex);
  Text() = message;
  return code;
}

int Refuse(const char *entry_point) {
  return Fail(kNotSupported, std::string("the host stand-in for CANN does not implement ") + entry_point);
}

std::string LastError() {
  const std::lock_guard<std::mutex> lock(mutex);
  return Text();
}

std::string RecentError() {
  const std::lock_guard<std::mutex> lock(mutex);
  std::string text;
  text.swap(Text());
  return text;
}

}  // namespace host_cann

EXPORT const char *aclGetRecentErrMsg() {
  thread_local std::string text;
  text = host_cann::RecentError();
  return text.c_str();
}
