// Faults on demand: a named call fails, or what it launches fails or hangs, from its n-th occurrence on demand.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "entry_point.h"

namespace host_cann {
namespace {

enum class Fault { kCall, kRun, kHang };
constexpr const char *kFaults[] = {"call", "run", "hang"};

struct Wanted {
  std::string entry_point;
  int occurrence;  // counted from 1; 0: every one
  int status;
  Fault fault;
  int id;
  int seen = 0;
};

std::atomic<bool> any{false};
std::mutex mutex;
std::condition_variable lifted;
int last_id = 0;

auto &all = *new std::vector<Wanted>;

bool IsWanted(int id) {
  return std::any_of(all.begin(), all.end(), [id](const Wanted &wanted) { return wanted.id == id; });
}

constexpr const char *kEntryPoints[] = {
    "aclrtMalloc",
    "aclrtMallocHost",
    "aclrtMemcpy",
    "aclrtMemcpyAsync",
    "aclrtCreateStream",
    "aclrtSynchronizeStream",
    "aclrtSynchronizeDevice",
};

bool OfTheRuntime(const std::string &name) {
  return std::find(std::begin(kEntryPoints), std::end(kEntryPoints), name) != std::end(kEntryPoints);
}

std::vector<AsksForFaults> &Asking() {  // the doors add to it while the library is loaded
  static auto &asking = *new std::vector<AsksForFaults>{OfTheRuntime};
  return asking;
}

Wanted *Due(const std::string &entry_point, bool running) {
  for (auto &wanted : all) {
    if (wanted.entry_point != entry_point || (wanted.fault != Fault::kCall) != running) continue;
    ++wanted.seen;
    if (wanted.occurrence == 0 || wanted.occurrence == wanted.seen) return &wanted;
  }
  return nullptr;
}

std::string Injected(const Wanted &wanted, const char *what) {
  return wanted.entry_point + what + std::to_string(wanted.status) + " (injected, occurrence " +
         std::to_string(wanted.seen) + ")";
}

}  // namespace

bool AlsoAsks(AsksForFaults asks) {
  Asking().push_back(asks);
  return true;
}

int InjectedStatus(const char *entry_point) {
  if (!any.load(std::memory_order_relaxed)) return 0;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto *wanted = Due(entry_point, false);
  return wanted == nullptr ? 0 : KeepError(wanted->status, Injected(*wanted, " returned "));
}

void RunInjectedFault(const std::string &entry_point) {
  if (!any.load(std::memory_order_relaxed)) return;
  std::unique_lock<std::mutex> lock(mutex);
  const auto *wanted = Due(entry_point, true);
  if (wanted == nullptr) return;
  if (wanted->fault == Fault::kRun) throw Refusal{wanted->status, Injected(*wanted, " failed on its stream with ")};
  lifted.wait(lock, [id = wanted->id] { return !IsWanted(id); });
}

int AddFault(const std::string &entry_point, int occurrence, int status, const std::string &when) {
  const auto *fault = std::find(std::begin(kFaults), std::end(kFaults), when);
  if (fault == std::end(kFaults))
    throw Refusal{kInvalidParam, "when must be one of call, run, hang, got '" + when + "'"};
  if (status == 0) throw Refusal{kInvalidParam, "status must not be 0, which means success, got 0"};
  if (occurrence < 0) throw Refusal{kInvalidParam, "occurrence must be at least 0, got " + std::to_string(occurrence)};
  const auto asks = [&](AsksForFaults asks) { return asks(entry_point); };
  if (std::none_of(Asking().begin(), Asking().end(), asks))
    throw Refusal{kInvalidParam, "entry_point must be one in which the stand-in has faults, got '" + entry_point + "'"};
  const std::lock_guard<std::mutex> lock(mutex);
  const int id = ++last_id;
  all.push_back({entry_point, occurrence, status, static_cast<Fault>(fault - kFaults), id});
  any = true;
  return id;
}

// A number for host_cann_fault_remove, or 0, and aclGetRecentErrMsg says what is wrong.
EXPORT int host_cann_fault_add(const char *entry_point, int occurrence, int status, const char *when) {
  int id = 0;
  try {
    id = AddFault(entry_point, occurrence, status, when);
  } catch (const Refusal &refusal) {
    KeepError(refusal.code, refusal.why);
  }
  return id;
}

EXPORT void host_cann_fault_remove(int id) {
  const std::lock_guard<std::mutex> lock(host_cann::mutex);
  all.erase(std::remove_if(all.begin(), all.end(), [id](const auto &wanted) { return wanted.id == id; }), all.end());
  any = !all.empty();
  lifted.notify_all();
}

}  // namespace host_cann
