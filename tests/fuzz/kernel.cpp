// libFuzzer on the kernel's C interface, in the version that ASCEND_MOE_GATING_VECTOR names.
#include "run_kernel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::RunKernel(data, size);
  return 0;
}
