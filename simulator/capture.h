// A captured graph: what was launched on a stream, and on the streams that it forked to, kept to be run again.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "stream.h"

namespace host_cann {

constexpr int kStreamUnjoined = 107025;     // ACL_ERROR_RT_STREAM_UNJOINED
constexpr int kStreamCaptured = 107027;     // ACL_ERROR_RT_STREAM_CAPTURED
constexpr int kEventCaptured = 107028;      // ACL_ERROR_RT_EVENT_CAPTURED
constexpr int kStreamNotCaptured = 107029;  // ACL_ERROR_RT_STREAM_NOT_CAPTURED
constexpr int kCaptureForbids = 107030;     // ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT

// The tasks of all its streams stand in the order in which they were launched: a wait for an event, which is only
// possible after its record, needs no task of its own.
class Capture : public std::enable_shared_from_this<Capture> {
 public:
  Capture(int of_mode, int on_device) : mode(of_mode), device(on_device) {}
  const int mode, device;
  const std::thread::id thread = std::this_thread::get_id();
  std::atomic<bool> active{true}, valid{true};

  void Join(const std::shared_ptr<Stream> &stream);  // its launches are recorded from now on
  void Record(const Stream *stream, Task task);
  uint64_t Launched(const Stream *stream);                                    // their number until now
  void Wait(const Stream *waiting, const Stream *stream, uint64_t launched);  // for so many launches of a stream
  void Refuse(const std::string &why);                                        // it is invalid from now on
  [[noreturn]] void Invalidate(int code, const char *call, const std::string &why);
  void End(const Stream *origin);
  void Run(const Stream &on);

 private:
  struct Branch {
    std::shared_ptr<Stream> stream;
    uint64_t launched = 0, joined = 0;
  };
  std::mutex mutex_;
  std::map<const Stream *, Branch> branches_;
  std::vector<Task> tasks_;
  std::string invalid_;
};

// For calls that cannot be captured and would wait for the device: a Refusal if a capture on the thread's device
// forbids them, which then is invalid.
void ForbidWhileCapturing(const char *call);

}  // namespace host_cann
