#include "versions.h"

#include <cstdlib>
#include <cstring>

namespace moe_gating {
namespace {

struct Candidate {
  Version version;
  bool runs_here;
};

const Version *choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vbmi2");
  static const Candidate candidates[] = {
      {{"avx512", run_rows_avx512}, avx512}, {{"avx2", run_rows_avx2}, avx2}, {{"portable", run_rows_portable}, true}};
#elif defined(__aarch64__)
  static const Candidate candidates[] = {{{"neon", run_rows_neon}, true}, {{"portable", run_rows_portable}, true}};
#else
  static const Candidate candidates[] = {{{"portable", run_rows_portable}, true}};
#endif
  const char *wanted = std::getenv("ASCEND_MOE_GATING_VECTOR");
  const bool any = wanted == nullptr || *wanted == '\0';
  for (const auto &candidate : candidates)
    if (candidate.runs_here && (any || std::strcmp(wanted, candidate.version.name) == 0)) return &candidate.version;
  return nullptr;
}

}  // namespace

const Version *version() {
  static const Version *const chosen = choose();
  return chosen;
}

}  // namespace moe_gating
