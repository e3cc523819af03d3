// A captured graph: what was launched on a stream, and on the streams that it forked to, kept to be run again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
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
  void Join(Stream *stream);                   // its launches are recorded from now on
  uint64_t Record(Stream *stream, Task task);  // the number of launches on the stream, this one included
  uint64_t Launched(Stream *stream);
  void Joined(Stream *stream, uint64_t launched);  // another stream waits for these
  int Invalidate(int code, const std::string &why);
  int End(Stream *origin);
  bool active();
  bool valid();
  int Run();

 private:
  struct Branch {
    uint64_t launched = 0, joined = 0;
  };
  std::mutex mutex_;
  std::map<Stream *, Branch> branches_;
  std::vector<Task> tasks_;
  std::string invalid_;
  bool active_ = true;
};

// For calls that cannot be captured and would wait for the device: 0 unless a capture on the thread's device forbids
// them, which then is invalid.
int ForbiddenWhileCapturing(const char *call);

}  // namespace host_cann
