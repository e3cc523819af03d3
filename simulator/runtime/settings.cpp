// What a user may set in the environment. It holds in whichever way the library came into the process.
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

#include "device.h"
#include "entry_point.h"
#include "release.h"

namespace host_cann {
namespace {

constexpr const char *kFaults = "ASCEND_MOE_GATING_SIMULATOR_FAULTS";

// Without torch_npu's launch thread an operation that fails does so on the line that called it. torch_npu is not yet
// there to have read the variable.
[[maybe_unused]] const int set = setenv("TASK_QUEUE_ENABLE", "0", 0);

Refusal Wrong(const char *name, const std::string &rule, const std::string &value) {
  return {kInvalidParam, std::string(name) + " must be " + rule + ", got '" + value + "'"};
}

bool IsNumber(const std::string &text) {  // one that an int holds
  return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
}

void CheckDevices() {
  constexpr const char *kDevices = "ASCEND_MOE_GATING_SIMULATOR_DEVICES";
  const char *value = std::getenv(kDevices);
  if (value == nullptr || (IsNumber(value) && *value != '0' && std::stoi(value) <= kMaxDevices)) return;
  throw Wrong(kDevices, "a number of devices, 1 to " + std::to_string(kMaxDevices), value);
}

void CheckMemory() {
  constexpr const char *kMemory = "ASCEND_MOE_GATING_SIMULATOR_MEMORY";
  const char *value = std::getenv(kMemory);
  if (value == nullptr || (*value >= '1' && *value <= '9' && std::strspn(value, "0123456789") == std::strlen(value)))
    return;
  throw Wrong(kMemory, "the bytes of memory of each device", value);
}

// Takes what follows the last mark off the text; without the mark, nothing is taken.
std::string TakeAfter(char mark, std::string *text, const char *otherwise) {
  const size_t at = text->rfind(mark);
  if (at == std::string::npos) return otherwise;
  const auto taken = text->substr(at + 1);
  text->resize(at);
  return taken;
}

void AddFaultOf(const std::string &text) {
  std::string rest = text;
  const auto occurrence = TakeAfter('#', &rest, "1");
  const auto when = TakeAfter('@', &rest, "call");
  const auto status = TakeAfter('=', &rest, "");
  if (!IsNumber(status) || !IsNumber(occurrence))
    throw Wrong(kFaults, "entry_point=status[@run|@hang][#occurrence]", text);
  try {
    AddFault(rest, std::stoi(occurrence), std::stoi(status), when);
  } catch (const Refusal &refusal) {
    throw Refusal{refusal.code, std::string(kFaults) + ": " + refusal.why};
  }
}

}  // namespace

const std::string &WrongSetting() {
  static const auto &wrong = *new std::string([]() -> std::string {
    try {
      CheckRelease();
      CheckDevices();
      CheckMemory();
      const char *faults = std::getenv(kFaults);
      std::istringstream texts(faults == nullptr ? "" : faults);
      for (std::string text; std::getline(texts, text, ',');) {
        if (!text.empty()) AddFaultOf(text);
      }
      return "";
    } catch (...) {
      return Caught().why;
    }
  }());
  return wrong;
}

}  // namespace host_cann

// Called by simulator/library.py, which raises it.
EXPORT const char *host_cann_wrong_setting() { return host_cann::WrongSetting().c_str(); }
