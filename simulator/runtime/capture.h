// A captured graph: what was launched on a stream, and on the streams that it forked to, kept to be run again.
#pragma once

#include <atomic>
#include <cstdint>
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

// Each of its streams is a branch: steps in the order in which they were launched, some of which wait for those of
// another branch. A run takes the branches in turn, each as far as its waits allow, and the next run takes them the other
// way round: what the waits do not order shows.
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
  void End();
  void Run(const Stream &on);

 private:
  struct Step {  // a task, or a wait for the first steps of a branch
    Task task;
    size_t branch = 0, launched = 0;
  };
  struct Branch {
    std::shared_ptr<Stream> stream;
    std::vector<Step> steps;
    uint64_t joined = 0;
  };
  size_t BranchOf(const Stream *stream) const;
  std::mutex mutex_;
  std::vector<Branch> branches_;  // the origin's first
  std::atomic<uint64_t> runs_{0};
  std::string invalid_;
};

// For calls that cannot be captured and would wait for the device: a Refusal if a capture on the thread's device
// forbids them, which then is invalid.
void ForbidWhileCapturing(const char *call);

}  // namespace host_cann
