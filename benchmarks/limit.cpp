// The limit: what reading the logits costs, and what taking their scores costs on top, with the kernel's own vectors.
#include <cstdint>

#if defined(__AVX512F__)
#include "../kernels/vector_avx512.h"
#elif defined(__AVX2__)
#include "../kernels/vector_avx2.h"
#elif defined(__aarch64__)
#include "../kernels/vector_neon.h"
#else
#include "../kernels/vector_portable.h"
#endif
// The vector comes first.
#include "../kernels/scores.h"

using namespace moe_gating;

namespace {

template <class Type>
float read(const void *x, int64_t count, int64_t norm_type) {
  const auto *logits = static_cast<const typename Type::Storage *>(x);
  F sums[4] = {Vector::set(0.0f), Vector::set(0.0f), Vector::set(0.0f), Vector::set(0.0f)};
  for (int64_t i = 0; i + 4 * width <= count; i += 4 * width)
    for (int64_t part = 0; part < 4; ++part) {
      const F value = Vector::load(Type(), logits + i + part * width);
      // A softmax is at least an exponential.
      const F score = norm_type == 1   ? sigmoid(value)
                      : norm_type == 0 ? exp_times_2_64(Vector::sub(value, Vector::set(9.0f)))
                                       : value;
      sums[part] = Vector::add(sums[part], score);
    }
  const auto add = [](F a, F b) { return Vector::add(a, b); };
  return first_lane(reduce(add(add(sums[0], sums[1]), add(sums[2], sums[3])), add));
}

}  // namespace

// norm_type -1 reads only. element_type: 0 float32, 1 float16, 2 bfloat16.
extern "C" float limit(const void *x, int64_t count, int64_t norm_type, int64_t element_type) {
  if (element_type == 0) return read<Float32>(x, count, norm_type);
  return element_type == 1 ? read<Float16>(x, count, norm_type) : read<BFloat16>(x, count, norm_type);
}
