#include "capture.h"

#include <algorithm>

#include "device.h"
#include "registry.h"

namespace host_cann {
namespace {

enum Mode { kGlobal = 0, kThreadLocal = 1, kRelaxed = 2 };
enum Status { kNone = 0, kActive = 1, kInvalidated = 2 };

thread_local int thread_mode = kGlobal;
auto &captures = *new Registry<void *, Capture>(kInvalidParam, "not a captured graph");

std::shared_ptr<Capture> Captured(void *model) {
  auto capture = captures.Get(model);
  if (capture->active) throw Refusal{kInvalidParam, "the graph is still being captured"};
  return capture;
}

}  // namespace

size_t Capture::BranchOf(const Stream *stream) const {
  size_t branch = 0;
  while (branch < branches_.size() && branches_[branch].stream.get() != stream) ++branch;
  return branch;
}

void Capture::Join(const std::shared_ptr<Stream> &stream) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (BranchOf(stream.get()) == branches_.size()) branches_.push_back({stream, {}});
  }
  stream->StartCapture(shared_from_this());
}

void Capture::Record(const Stream *stream, Task task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  branches_.at(BranchOf(stream)).steps.push_back({std::move(task)});
}

uint64_t Capture::Launched(const Stream *stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return branches_.at(BranchOf(stream)).steps.size();
}

void Capture::Wait(const Stream *waiting, const Stream *stream, uint64_t launched) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t branch = BranchOf(stream);
  auto &joined = branches_.at(branch).joined;
  joined = std::max(joined, launched);
  branches_.at(BranchOf(waiting)).steps.push_back({nullptr, branch, launched});  // whoever waits must be waited for
}

void Capture::Refuse(const std::string &why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (valid.exchange(false)) invalid_ = why;
}

void Capture::Invalidate(int code, const char *call, const std::string &why) {
  Refuse(std::string(call) + ": " + why);
  throw Refusal{code, why};
}

void Capture::End() {
  const std::lock_guard<std::mutex> lock(mutex_);
  active = false;
  for (const auto &branch : branches_) branch.stream->EndCapture();
  if (!valid) throw Refusal{kCaptureForbids, "the capture is invalid: " + invalid_};
  for (auto &[stream, steps, joined] : branches_) {
    if (stream != branches_[0].stream && joined < steps.size())
      throw Refusal{kStreamUnjoined, "work on stream " + std::to_string(stream->id()) +
                                         ", which the capture forked to, was not joined by an event"};
  }
  for (auto &branch : branches_) branch.stream = nullptr;
}

void Capture::Run(const Stream &on) {  // the steps no longer change
  const size_t count = branches_.size();
  const bool backwards = runs_++ % 2 != 0;
  std::vector<size_t> done(count, 0);
  for (size_t turn = 0; turn < count;) {
    const size_t branch = backwards ? count - 1 - turn : turn;
    const auto &steps = branches_[branch].steps;
    if (done[branch] == steps.size() || done[steps[done[branch]].branch] < steps[done[branch]].launched) {
      ++turn;
      continue;
    }
    const auto &task = steps[done[branch]++].task;
    if (task != nullptr) task(on);
    turn = 0;
  }
}

void ForbidWhileCapturing(const char *call) {
  if (thread_mode == kRelaxed) return;
  for (const auto &capture : captures.All()) {
    const bool mine = capture->thread == std::this_thread::get_id();
    const bool forbids = capture->mode == kGlobal || (capture->mode == kThreadLocal && mine);
    if (forbids && capture->device == CurrentDevice() && capture->active)
      capture->Invalidate(kCaptureForbids, call, "this is not possible while a stream is being captured");
  }
}

EXPORT int aclmdlRICaptureBegin(void *handle, int mode) {
  return EntryPoint(__func__, [&] {
    const auto stream = StreamOf(handle);
    if (stream->capture() != nullptr) throw Refusal{kStreamCaptured, "the stream is being captured already"};
    const auto capture = std::make_shared<Capture>(mode, stream->device());
    captures.Add(capture);
    capture->Join(stream);
  });
}

EXPORT int aclmdlRICaptureGetInfo(void *handle, int *status, void **model) {
  return EntryPoint(__func__, [&] {
    const auto capture = StreamOf(handle)->capture();
    Place(status) = capture == nullptr ? kNone : capture->valid ? kActive : kInvalidated;
    if (model != nullptr) *model = capture.get();
  });
}

EXPORT int aclmdlRICaptureEnd(void *handle, void **model) {
  return EntryPoint(__func__, [&] {
    Place(model) = nullptr;
    const auto stream = StreamOf(handle);
    const auto capture = stream->capture();
    if (capture == nullptr) throw Refusal{kStreamNotCaptured, "the stream is not being captured"};
    try {
      capture->End();
    } catch (...) {
      captures.Remove(capture.get());
      throw;
    }
    *model = capture.get();
  });
}

ENTRY_POINT(aclmdlRICaptureThreadExchangeMode, (int *mode), std::swap(Place(mode), thread_mode))

EXPORT int aclmdlRIExecuteAsync(void *model, void *stream) {
  return EntryPoint(__func__,
                    [&] { Enqueue(stream, [capture = Captured(model)](const Stream &on) { capture->Run(on); }); });
}

EXPORT int aclmdlRIDestroy(void *model) {
  return EntryPoint(__func__, [&] {
    Captured(model);
    captures.Remove(model);
  });
}

}  // namespace host_cann
