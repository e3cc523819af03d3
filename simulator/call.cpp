#include "call.h"

#include "faults.h"
#include "memory.h"
#include "refuse.h"
#include "stream.h"

namespace host_cann {
namespace {

// Bytes from the first element to behind the last one.
size_t Span(const View &view) {
  if (view.count() == 0) return 0;
  int64_t last = 0;
  for (size_t i = 0; i < view.sizes.size(); ++i) last += (view.sizes[i] - 1) * view.strides[i];
  return static_cast<size_t>((last + 1) * ElementSize(view.dtype));
}

}  // namespace

int Call::NullPointer(const char *argument) const {
  return Fail(kNullPointer, name_ + ": " + argument + " is a null pointer");
}

int Call::Invalid(int code, const std::string &why) const { return Fail(code, name_ + ": " + why); }

int Call::Resolve(const std::vector<Operand> &operands, Views *views) const {
  for (const auto &operand : operands) {
    views->push_back(operand.view);
    const size_t span = operand.view ? Span(*operand.view) : 0;
    if (span == 0 || operand.on_host) continue;
    views->back()->data = Map(operand.view->data, span);
    if (views->back()->data == nullptr) {
      return Fail(kInternal, name_ + ": " + operand.name + " is " + Explain(operand.view->data, span));
    }
  }
  return 0;
}

int Call::Execute(int device, uint64_t stream) const {
  if (const int status = FaultyRun(name_)) return status;
  const Timer timer;
  Views inputs, outputs;
  int status = Resolve(inputs_, &inputs);
  if (status == 0) status = Resolve(outputs_, &outputs);
  if (status == 0) status = run(inputs, outputs);
  if (status == 0 && Logging()) {
    host_cann::Launch launch{kind_, name_, {}, {}, attributes_, device, stream};
    for (const auto &operand : inputs_)
      if (operand.view) launch.inputs.emplace_back(operand.name, *operand.view);
    for (const auto &operand : outputs_)
      if (operand.view) launch.outputs.emplace_back(operand.name, *operand.view);
    Log(launch, timer);
  }
  return status;
}

int Call::Launch(void *stream_handle) {
  auto *stream = FindStream(stream_handle);
  if (stream == nullptr) return Fail(kInvalidParam, name_ + ": not a live stream");
  if (const int status = FaultyCall(name_.c_str())) return status;
  stream->Enqueue(
      [call = std::move(*this), device = stream->device(), id = stream->id()] { return call.Execute(device, id); });
  return 0;
}

}  // namespace host_cann
