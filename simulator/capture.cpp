#include "capture.h"

#include <algorithm>
#include <thread>

#include "device.h"
#include "export.h"
#include "refuse.h"

namespace host_cann {
namespace {

enum Mode { kGlobal = 0, kThreadLocal = 1, kRelaxed = 2 };
enum Status { kNone = 0, kActive = 1, kInvalidated = 2 };

struct Running {
  std::shared_ptr<Capture> capture;
  int mode, device;
  std::thread::id thread;
};

thread_local int thread_mode = kGlobal;
std::mutex mutex;
std::vector<Running> &All() {  // the captures that are going on
  static auto &all = *new std::vector<Running>;
  return all;
}
std::map<void *, std::shared_ptr<Capture>> &Models() {  // by the handle that the caller holds
  static auto &models = *new std::map<void *, std::shared_ptr<Capture>>;
  return models;
}

}  // namespace

void Capture::Join(Stream *stream) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    branches_[stream];
  }
  stream->StartCapture(shared_from_this());
}

uint64_t Capture::Record(Stream *stream, Task task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (task != nullptr) tasks_.push_back(std::move(task));
  return ++branches_[stream].launched;
}

uint64_t Capture::Launched(Stream *stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return branches_[stream].launched;
}

void Capture::Joined(Stream *stream, uint64_t launched) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto &branch = branches_[stream];
  branch.joined = std::max(branch.joined, launched);
}

int Capture::Invalidate(int code, const std::string &why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (invalid_.empty()) invalid_ = why;
  return Fail(code, why);
}

int Capture::End(Stream *origin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  active_ = false;
  for (const auto &entry : branches_) entry.first->StartCapture(nullptr);
  if (!invalid_.empty()) return Fail(kCaptureForbids, "aclmdlRICaptureEnd: the capture is invalid: " + invalid_);
  for (const auto &[stream, branch] : branches_) {
    if (stream == origin || branch.joined == branch.launched) continue;
    return Fail(kStreamUnjoined, "aclmdlRICaptureEnd: work on stream " + std::to_string(stream->id()) +
                                     ", which the capture forked to, was not joined by an event");
  }
  return 0;
}

bool Capture::active() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return active_;
}

bool Capture::valid() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return invalid_.empty();
}

int Capture::Run() {
  for (const auto &task : tasks_) {  // they no longer change
    if (const int status = task()) return status;
  }
  return 0;
}

int ForbiddenWhileCapturing(const char *call) {
  if (thread_mode == kRelaxed) return 0;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto &running : All()) {
    const bool mine = running.thread == std::this_thread::get_id();
    if (running.device != CurrentDevice() || running.mode == kRelaxed || (running.mode == kThreadLocal && !mine))
      continue;
    return running.capture->Invalidate(kCaptureForbids,
                                       std::string(call) + " is not possible while a stream is being captured");
  }
  return 0;
}

}  // namespace host_cann

using namespace host_cann;  // NOLINT: the entry points are this file's other half

EXPORT int aclmdlRICaptureBegin(void *handle, int mode) {
  auto *stream = FindStream(handle);
  if (stream == nullptr) return Fail(kInvalidParam, "aclmdlRICaptureBegin: not a live stream");
  if (stream->capture() != nullptr)
    return Fail(kStreamCaptured, "aclmdlRICaptureBegin: the stream is being captured already");
  auto capture = std::make_shared<Capture>();
  capture->Join(stream);
  const std::lock_guard<std::mutex> lock(mutex);
  All().push_back({capture, mode, stream->device(), std::this_thread::get_id()});
  Models()[capture.get()] = capture;
  return 0;
}

EXPORT int aclmdlRICaptureGetInfo(void *handle, int *status, void **model) {
  auto *stream = FindStream(handle);
  const auto capture = stream == nullptr ? nullptr : stream->capture();
  *status = capture == nullptr ? kNone : capture->valid() ? kActive : kInvalidated;
  if (model != nullptr) *model = capture.get();
  return 0;
}

EXPORT int aclmdlRICaptureEnd(void *handle, void **model) {
  auto *stream = FindStream(handle);
  const auto capture = stream == nullptr ? nullptr : stream->capture();
  if (capture == nullptr) return Fail(kStreamNotCaptured, "aclmdlRICaptureEnd: the stream is not being captured");
  const int status = capture->End(stream);
  const std::lock_guard<std::mutex> lock(mutex);
  auto &all = All();
  all.erase(std::remove_if(all.begin(), all.end(), [&](const Running &r) { return r.capture == capture; }), all.end());
  *model = status == 0 ? capture.get() : nullptr;
  if (status != 0) Models().erase(capture.get());
  return status;
}

EXPORT int aclmdlRICaptureThreadExchangeMode(int *mode) {
  std::swap(*mode, thread_mode);
  return 0;
}

EXPORT int aclmdlRIExecuteAsync(void *model, void *handle) {
  auto *stream = FindStream(handle);
  if (stream == nullptr) return Fail(kInvalidParam, "aclmdlRIExecuteAsync: not a live stream");
  std::shared_ptr<Capture> capture;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = Models().find(model);
    if (found != Models().end()) capture = found->second;
  }
  if (capture == nullptr || capture->active()) return Fail(kInvalidParam, "aclmdlRIExecuteAsync: not a captured graph");
  stream->Enqueue([capture] { return capture->Run(); });
  return 0;
}

EXPORT int aclmdlRIDestroy(void *model) {
  const std::lock_guard<std::mutex> lock(mutex);
  return Models().erase(model) == 1 ? 0 : Fail(kInvalidParam, "aclmdlRIDestroy: not a captured graph");
}
