#include "memory.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>

#include "device.h"

namespace host_cann {
namespace {

constexpr size_t kAlign = 512;
constexpr int kUninitialised = 0xA5;   // fresh device memory is not zero

// Two ranges of the same length: addresses from `device` are handed out and cannot be touched, the bytes lie at the
// same offset from `host`.
struct Arena {
  uint8_t *device = nullptr, *host = nullptr;
  size_t bytes = 0, used = 0;
  std::map<size_t, size_t> live;       // offset -> length
  std::mutex mutex;
};

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

Arena *ArenaAt(const void *address) {
  const auto *at = static_cast<const uint8_t *>(address);
  for (int i = 0; i < DeviceCount(); ++i) {
    auto &arena = ArenaOf(i);
    if (arena.device != nullptr && at >= arena.device && at < arena.device + arena.bytes) return &arena;
  }
  return nullptr;
}

// The first gap between live allocations that is long enough.
bool FindGap(const Arena &arena, size_t bytes, size_t *offset) {
  size_t end = 0;
  for (const auto &[start, length] : arena.live) {
    if (start - end >= bytes) break;
    end = start + length;
  }
  *offset = end;
  return arena.bytes - end >= bytes;
}

}  // namespace

void *DeviceMalloc(int device, size_t bytes) {
  auto &arena = ArenaOf(device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  if (arena.device == nullptr || arena.host == nullptr || bytes > arena.bytes) return nullptr;
  const size_t length = (bytes + kAlign - 1) / kAlign * kAlign;
  size_t offset = 0;
  if (length == 0 || !FindGap(arena, length, &offset)) return nullptr;
  std::memset(arena.host + offset, kUninitialised, length);
  arena.live.emplace(offset, length);
  arena.used += length;
  return arena.device + offset;
}

bool DeviceFree(void *address) {
  auto *arena = ArenaAt(address);
  if (arena == nullptr) return false;
  const std::lock_guard<std::mutex> lock(arena->mutex);
  const auto found = arena->live.find(static_cast<size_t>(static_cast<uint8_t *>(address) - arena->device));
  if (found == arena->live.end()) return false;
  const auto page_start = (found->first + 4095) / 4096 * 4096;
  const auto page_end = (found->first + found->second) / 4096 * 4096;
  if (page_end > page_start) madvise(arena->host + page_start, page_end - page_start, MADV_DONTNEED);
  arena->used -= found->second;
  arena->live.erase(found);
  return true;
}

bool IsDevice(const void *address) { return ArenaAt(address) != nullptr; }

size_t DeviceFreeBytes(int device) {
  auto &arena = ArenaOf(device);
  const std::lock_guard<std::mutex> lock(arena.mutex);
  return arena.bytes - arena.used;
}

size_t DeviceTotalBytes(int device) { return ArenaOf(device).bytes; }

uint8_t *Map(const void *address, size_t bytes) {
  auto *arena = ArenaAt(address);
  if (arena == nullptr) return nullptr;
  const auto offset = static_cast<size_t>(static_cast<const uint8_t *>(address) - arena->device);
  const std::lock_guard<std::mutex> lock(arena->mutex);
  auto after = arena->live.upper_bound(offset);
  if (after == arena->live.begin()) return nullptr;
  const auto &[start, length] = *std::prev(after);
  return offset + bytes <= start + length ? arena->host + offset : nullptr;
}

}  // namespace host_cann
