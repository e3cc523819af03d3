// A kernel that is wrong on purpose, in the way that WRONG_KERNEL names: preloaded, it stands before the one of the package.
#include <dlfcn.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../kernels/moe_gating_top_k.h"

namespace {

using Args = moe_gating_top_k_args;

template <class F>
F real(const char *name) {
  void *library = dlopen("libmoe_gating_top_k.so", RTLD_NOW | RTLD_NOLOAD);
  return reinterpret_cast<F>(dlsym(library, name));
}

float value_of(const void *data, int64_t at, int32_t dtype) {
  if (dtype == MOE_GATING_FLOAT32) return static_cast<const float *>(data)[at];
  const uint16_t bits = static_cast<const uint16_t *>(data)[at];
  if (dtype == MOE_GATING_FLOAT16) {
    _Float16 half;
    std::memcpy(&half, &bits, 2);
    return half;
  }
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

void write(void *data, int64_t at, int32_t dtype, float value, bool truncate = false) {
  if (dtype == MOE_GATING_FLOAT32) {
    static_cast<float *>(data)[at] = value;
  } else if (dtype == MOE_GATING_FLOAT16) {
    const _Float16 half = value;
    std::memcpy(static_cast<uint16_t *>(data) + at, &half, 2);
  } else {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (!truncate) bits += 0x7fff + (bits >> 16 & 1);
    static_cast<uint16_t *>(data)[at] = bits >> 16;
  }
}

float x_of(const Args &a, int64_t row, int64_t expert) {
  return value_of(a.x, row * a.x_row_stride + expert * a.x_column_stride, a.dtype);
}

float bias_of(const Args &a, int64_t expert) {
  return a.bias == nullptr ? 0 : value_of(a.bias, expert * a.bias_stride, a.dtype);
}

bool chosen(const int32_t *ids, int64_t k, int32_t expert) {
  for (int64_t i = 0; i < k; ++i)
    if (ids[i] == expert) return true;
  return false;
}

// What is changed of the arguments.
void change(const std::string &wrong, Args &a) {
  const int64_t group = a.experts / std::max<int64_t>(a.group_count, 1);
  if (wrong == "eps ignored") a.eps = 0;
  if (wrong == "rounded before the scale") a.routed_scaling_factor = 1;
  if (wrong == "strides ignored" && a.x_column_stride != 1) a.x_column_stride = 1;
  if (wrong == "mode 0 for odd groups" && group % 2 == 1) a.group_select_mode = 0;
  if (wrong == "no renorm") a.renorm = 0;
  if (wrong == "no bias in float16" && a.dtype == MOE_GATING_FLOAT16) a.bias = nullptr;
  if (wrong == "one group less" && a.k_group > 2 && a.k <= (a.k_group - 1) * group) a.k_group -= 1;
}

// What is changed of a row of the results.
void spoil(const std::string &wrong, const Args &a, int64_t row) {
  int32_t *ids = a.expert_idx + row * a.k;
  if (wrong == "next on ties" && a.input_ids == nullptr) {
    for (int64_t i = 0; i < a.k; ++i) {
      const int32_t next = ids[i] + 1;
      if (next < a.experts && x_of(a, row, next) == x_of(a, row, ids[i]) && bias_of(a, next) == bias_of(a, ids[i]) &&
          !chosen(ids, a.k, next))
        ids[i] = next;
    }
  }
  if (wrong == "bias enters y") {
    for (int64_t i = 0; i < a.k; ++i) {
      const int64_t at = row * a.k + i;
      write(a.y, at, a.dtype, value_of(a.y, at, a.dtype) + bias_of(a, ids[i]) * 1e-3F);
    }
  }
  if (wrong == "rounded before the scale") return;  // below
  if (wrong == "last column of norm_out" && a.norm_out != nullptr) a.norm_out[(row + 1) * a.experts - 1] *= 1.00001F;
  if (wrong == "above 1024 experts" && a.experts > 1024 && a.k > 1) std::swap(ids[0], ids[1]);
  if (wrong == "above 2047 tokens" && row > 2047) write(a.y, row * a.k, a.dtype, 0);
  if (wrong == "places from 32 on" && a.k > 33) std::swap(ids[32], ids[33]);
  if (wrong == "NaN first" && a.group_count == 1 && a.input_ids == nullptr) {
    for (int32_t expert = 0; expert < a.experts; ++expert)
      if (std::isnan(x_of(a, row, expert)) && !chosen(ids, a.k, expert)) {
        ids[0] = expert;
        break;
      }
  }
}

int run(const Args *given, int64_t first, int64_t last) {
  const char *name = std::getenv("WRONG_KERNEL");
  const std::string wrong = name == nullptr ? "" : name;
  static int64_t launches = 0;
  if (wrong == "every ninth launch is lost" && ++launches % 9 == 0) return 0;
  if (wrong == "crash" && given->experts == 72) std::abort();
  Args a = *given;
  change(wrong, a);
  static const auto rows = real<int (*)(const Args *, int64_t, int64_t)>("moe_gating_top_k_rows");
  std::vector<float> x, bias, y;
  const bool cut = wrong == "bfloat16 is cut off" && a.dtype == MOE_GATING_BFLOAT16;
  if (cut) {  // as float32, and then without rounding
    for (int64_t row = 0; row < a.tokens; ++row)
      for (int64_t expert = 0; expert < a.experts; ++expert) x.push_back(x_of(*given, row, expert));
    for (int64_t expert = 0; expert < a.experts; ++expert) bias.push_back(bias_of(*given, expert));
    y.resize(a.tokens * a.k);
    a.x = x.data(), a.x_row_stride = a.experts, a.x_column_stride = 1, a.dtype = MOE_GATING_FLOAT32, a.y = y.data();
    if (a.bias != nullptr) a.bias = bias.data(), a.bias_stride = 1;
  }
  const int code = rows(&a, first, last);
  for (int64_t row = first; code == 0 && row < last; ++row) {
    for (int64_t i = row * a.k; cut && i < (row + 1) * a.k; ++i) write(given->y, i, given->dtype, y[i], true);
    for (int64_t i = row * a.k; wrong == "rounded before the scale" && i < (row + 1) * a.k; ++i)
      write(a.y, i, a.dtype, value_of(a.y, i, a.dtype) * given->routed_scaling_factor);
    if (!cut) spoil(wrong, a, row);
  }
  return code;
}

}  // namespace

extern "C" {
MOE_GATING_EXPORT int moe_gating_top_k(const Args *args, int) { return run(args, 0, args->tokens); }
MOE_GATING_EXPORT int moe_gating_top_k_rows(const Args *args, int64_t first, int64_t last) {
  return run(args, first, last);
}
}
