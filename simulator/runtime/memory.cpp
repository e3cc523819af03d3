#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "device.h"
#include "entry_point.h"

namespace host_cann {
namespace {

constexpr size_t kAlign = 512;
constexpr int kFresh = 0xA5;  // new memory is not zero
constexpr int kFreed = 0xDD;  // and freed memory is not what it was

// Two ranges of the same length: addresses from `device` are handed out and cannot be touched, the bytes lie at the
// same offset from `host`.
struct Arena {
  uint8_t *device = nullptr, *host = nullptr;
  size_t bytes = 0, used = 0;
  std::map<size_t, size_t> live, freed;  // offset -> length asked for
  std::mutex mutex;
};

size_t Padded(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

uint8_t *Reserve(size_t bytes, int protection) {
  void *range = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return range == MAP_FAILED ? nullptr : static_cast<uint8_t *>(range);
}

Arena &ArenaOf(int device) {
  static auto *arenas = [] {
    auto *all = new Arena[kMaxDevices];
    for (int i = 0; i < DeviceCount(); ++i) {
      all[i].bytes = DeviceMemory();
      all[i].device = Reserve(all[i].bytes, PROT_NONE);
      all[i].host = Reserve(all[i].bytes, PROT_READ | PROT_WRITE);
    }
    return all;
  }();
  return arenas[device];
}

// The entry that begins at or before `offset`, or end().
std::map<size_t, size_t>::const_iterator Before(const std::map<size_t, size_t> &entries, size_t offset) {
  const auto after = entries.upper_bound(offset);
  return after == entries.begin() ? entries.end() : std::prev(after);
}

// The first gap between live allocations that is long enough.
bool FindGap(const Arena &arena, size_t bytes, size_t *offset) {
  size_t end = 0;
  for (const auto &[start, length] : arena.live) {
    if (start - end >= bytes) break;
    end = start + Padded(length);
  }
  *offset = end;
  return arena.bytes - end >= bytes;
}

void ForgetFreed(Arena *arena, size_t begin, size_t end) {
  auto entry = Before(arena->freed, begin);
  if (entry == arena->freed.end() || entry->first + Padded(entry->second) <= begin)
    entry = arena->freed.lower_bound(begin);
  while (entry != arena->freed.end() && entry->first < end) entry = arena->freed.erase(entry);
}

struct sigaction before_segv, before_bus;

// A device address cannot be read or written by the host: the access faults, as on a machine with a device, and here
// the process says why before it dies. Whoever handled it before takes the same fault again.
void ExplainFault(int number, siginfo_t *info, void *) {
  if (IsDevice(info->si_addr)) {
    const std::string text = "host stand-in for CANN: the host touched device memory: " + Explain(info->si_addr, 1) +
                             "; copy it to the host first\n";
    if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;
  }
  sigaction(number, number == SIGSEGV ? &before_segv : &before_bus, nullptr);
}

}  // namespace

void *DeviceMalloc(int device, size_t bytes) {
  auto &arena = ArenaOf(device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  if (arena.device == nullptr || arena.host == nullptr || bytes == 0 || bytes > arena.bytes) return nullptr;
  const size_t length = Padded(bytes);
  size_t offset = 0;
  if (!FindGap(arena, length, &offset)) return nullptr;
  std::memset(arena.host + offset, kFresh, length);
  ForgetFreed(&arena, offset, offset + length);
  arena.live.emplace(offset, bytes);
  arena.used += length;
  return arena.device + offset;
}

bool DeviceFree(void *address) {
  const int device = DeviceOf(address);
  if (device < 0) return false;
  auto &arena = ArenaOf(device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  const auto found = arena.live.find(static_cast<size_t>(static_cast<uint8_t *>(address) - arena.device));
  if (found == arena.live.end()) return false;
  std::memset(arena.host + found->first, kFreed, Padded(found->second));
  arena.used -= Padded(found->second);
  arena.freed.insert_or_assign(found->first, found->second);
  arena.live.erase(found);
  return true;
}

int DeviceOf(const void *address) {
  const auto *at = static_cast<const uint8_t *>(address);
  for (int i = 0; i < DeviceCount(); ++i) {
    const auto &arena = ArenaOf(i);
    if (arena.device != nullptr && at >= arena.device && at < arena.device + arena.bytes) return i;
  }
  return -1;
}

size_t DeviceFreeBytes(int device) {
  auto &arena = ArenaOf(device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  return arena.bytes - arena.used;
}

size_t DeviceTotalBytes(int device) { return ArenaOf(device).bytes; }

uint8_t *Map(const void *address, size_t bytes) {
  const int device = DeviceOf(address);
  if (device < 0) return nullptr;
  auto &arena = ArenaOf(device);
  const auto offset = static_cast<size_t>(static_cast<const uint8_t *>(address) - arena.device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  const auto entry = Before(arena.live, offset);
  if (entry == arena.live.end()) return nullptr;
  const size_t into = offset - entry->first;
  return into <= entry->second && bytes <= entry->second - into ? arena.host + offset : nullptr;
}

std::string Explain(const void *address, size_t bytes) {
  const int device = DeviceOf(address);
  char at[24];
  std::snprintf(at, sizeof at, "%p", address);
  const std::string text = std::to_string(bytes) + " bytes at " + at + ", ";
  if (device < 0) return text + "which is not device memory";
  auto &arena = ArenaOf(device);
  const auto offset = static_cast<size_t>(static_cast<const uint8_t *>(address) - arena.device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  for (const auto *entries : {&arena.live, &arena.freed}) {
    const auto entry = Before(*entries, offset);
    if (entry == entries->end() || offset >= entry->first + Padded(entry->second)) continue;
    return text + std::to_string(offset - entry->first) + " bytes into a" + (entries == &arena.live ? "n" : " freed") +
           " allocation of " + std::to_string(entry->second) + " bytes on device " + std::to_string(device);
  }
  return text + "memory of device " + std::to_string(device) + " that is not allocated";
}

void ExplainAccessFaults() {
  static const bool once = [] {
    struct sigaction action{};
    action.sa_sigaction = ExplainFault;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSEGV, &action, &before_segv) == 0 && sigaction(SIGBUS, &action, &before_bus) == 0;
  }();
  (void)once;
}

std::vector<Allocation> Allocations() {
  std::vector<Allocation> all;
  for (int i = 0; i < DeviceCount(); ++i) {
    auto &arena = ArenaOf(i);
    const std::lock_guard<std::mutex> lock(arena.mutex);
    for (const auto &[offset, length] : arena.live) all.push_back({i, arena.device + offset, length});
  }
  return all;
}

}  // namespace host_cann

// "device address bytes" per live allocation; valid until the calling thread calls again.
EXPORT const char *host_cann_allocations() {
  thread_local std::string lines;
  lines.clear();
  for (const auto &allocation : host_cann::Allocations()) {
    const auto address = reinterpret_cast<uintptr_t>(allocation.address);
    lines += std::to_string(allocation.device) + " " + std::to_string(address) + " " +
             std::to_string(allocation.bytes) + "\n";
  }
  return lines.c_str();
}
