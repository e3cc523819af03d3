#include "shim.h"

#include <dlfcn.h>

namespace shim {
namespace {

template <class Function>
bool find(void *library, const char *name, Function &function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool constant(void *library, const char *name, int32_t &value) {
  int32_t (*function)() = nullptr;
  if (!find(library, name, function)) return false;
  value = function();
  return true;
}

}  // namespace

Torch torch;

bool load() {
  void *library = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY);
  if (library == nullptr) return false;
  find(library, "torch_parallel_for", torch.parallel_for);
  find(library, "omp_get_max_threads", torch.max_threads);  // what torch.set_num_threads sets
  return find(library, "aoti_torch_library_init_impl", torch.library_init_impl) &&
         find(library, "aoti_torch_library_impl", torch.library_impl) &&
         find(library, "aoti_torch_get_data_ptr", torch.get_data_ptr) &&
         find(library, "aoti_torch_get_dim", torch.get_dim) && find(library, "aoti_torch_get_sizes", torch.get_sizes) &&
         find(library, "aoti_torch_get_strides", torch.get_strides) &&
         find(library, "aoti_torch_get_dtype", torch.get_dtype) &&
         find(library, "aoti_torch_empty_strided", torch.empty_strided) &&
         find(library, "aoti_torch_delete_tensor_object", torch.delete_tensor) &&
         constant(library, "aoti_torch_device_type_cpu", torch.cpu) &&
         constant(library, "aoti_torch_dtype_float32", torch.float32) &&
         constant(library, "aoti_torch_dtype_float16", torch.float16) &&
         constant(library, "aoti_torch_dtype_bfloat16", torch.bfloat16) &&
         constant(library, "aoti_torch_dtype_int32", torch.int32) &&
         constant(library, "aoti_torch_dtype_int64", torch.int64);
}

}  // namespace shim
