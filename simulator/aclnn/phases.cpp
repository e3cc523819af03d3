#include "phases.h"

#include <dlfcn.h>

#include <tuple>
#include <utility>

namespace host_cann {
namespace {

[[maybe_unused]] const bool asks_for_faults = AlsoAsks([](const std::string &name) {
  return name.compare(0, 5, "aclnn") == 0 && dlsym(RTLD_DEFAULT, name.c_str()) != nullptr;
});

thread_local Refusal first_phase{0, ""};

}  // namespace

// What the operation describes against what the caller gave.
void CheckOutputs(const Call &call) {
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const auto &[name, given] = std::tie(call.outputs[i].name, call.outputs[i].view);
    const auto &result = call.results.at(i);
    if (given.sizes != result.sizes)
      Invalid(name + " is " + Sizes(given.sizes) + ", not " + Sizes(result.sizes),
              result.exact ? kBadTiling : kBadParam);
    if (result.exact && given.dtype != result.dtype)
      Invalid(name + " is " + DTypeName(given.dtype) + ", not " + DTypeName(result.dtype));
  }
}

int FirstPhaseEnds(int status) {
  if (status == 0 || !OnLaunchThread()) return status;
  first_phase = {status, RecentError()};
  return 0;
}

int SecondPhase(const char *entry_point, Call *executor, void *stream) {
  const std::shared_ptr<Call> call(executor);
  return LaunchPoint(entry_point, stream, [&] {
    if (first_phase.code != 0) throw std::exchange(first_phase, {0, ""});
    if (call == nullptr) Invalid("the executor is a null pointer", kNullPointer);
    Enqueue(stream, [call](const Stream &on) { call->Execute(on); });
  });
}

}  // namespace host_cann
