// Lets torch_npu load beside a CUDA build of torch where both register the same keys of the allocator's configuration,
// and torch_npu aborts because of it. For tests only: torch forgets which keys it has registered.

#include <dlfcn.h>

#include <string>
#include <unordered_set>

extern "C" void forget_allocator_keys() {
  // AcceleratorAllocatorConfig::getMutableKeys()::keys, which no header gives away.
  const char *name = "_ZZN3c1016CachingAllocator26AcceleratorAllocatorConfig14getMutableKeysB5cxx11EvE4keys";
  void *library = dlopen("libc10.so", RTLD_LAZY | RTLD_NOLOAD);
  void *keys = library == nullptr ? nullptr : dlsym(library, name);
  if (keys != nullptr) {
    static_cast<std::unordered_set<std::string> *>(keys)->clear();
  }
}
