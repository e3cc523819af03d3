#include "versions.h"

#include <strings.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace moe_gating {
namespace {

constexpr char kVariable[] = "ASCEND_MOE_GATING_VECTOR";

struct Candidate {
  const Version *version;
  bool runs_here;
};

struct Choice {
  const Version *version;
  std::string rule;
};

// "avx512, avx2 or portable"
std::string listed(const std::vector<std::string> &names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

// Python takes the text for UTF-8.
std::string printable(std::string value) {
  std::replace_if(value.begin(), value.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return value;
}

#if defined(__x86_64__)
// Clang's __builtin_cpu_supports does not know it. Of AVX, which its registers need, the others tell.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

Choice choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") && has_f16c();
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vbmi2");
  static const Candidate candidates[] = {{&avx512, has_avx512}, {&avx2, has_avx2}, {&portable, true}};
#elif defined(__aarch64__)
  static const Candidate candidates[] = {{&neon, true}, {&portable, true}};
#else
  static const Candidate candidates[] = {{&portable, true}};
#endif
  const char *set = std::getenv(kVariable);
  const std::string wanted = set == nullptr ? "" : set;
  const Version *chosen = nullptr;
  std::vector<std::string> here;
  for (const auto &candidate : candidates) {
    if (!candidate.runs_here) continue;
    here.push_back(candidate.version->name);
    const bool fits = wanted.empty() || strcasecmp(wanted.c_str(), candidate.version->name) == 0;
    if (chosen == nullptr && fits) chosen = candidate.version;
  }
  return {chosen,
          std::string(kVariable) + " must be " + listed(here) + " on this processor, got '" + printable(wanted) + "'"};
}

const Choice &choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

const Version *version() {
  static const Version *const chosen = choice().version;
  return chosen;
}

const char *refusal() { return choice().rule.c_str(); }

}  // namespace moe_gating
