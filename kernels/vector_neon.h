// Four floats in a register of NEON, as every 64-bit Arm processor has it.
#pragma once

#include <arm_neon.h>

#include "half.h"

namespace moe_gating {
namespace {

// Per mask of four lanes: the numbers of its lanes, one byte each.
constexpr uint8_t compressions[16][8] = {{0}, {0},    {1},    {0, 1},    {2},    {0, 2},    {1, 2},    {0, 1, 2},
                                         {3}, {0, 3}, {1, 3}, {0, 1, 3}, {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}};

struct Vector {
  using F = float32x4_t;
  using I = int32x4_t;
  static constexpr int64_t width = 4;

  static F set(float value) { return vdupq_n_f32(value); }
  static F load(Float32, const float *from) { return vld1q_f32(from); }
  static F load(Float16, const uint16_t *from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }
  static F load(BFloat16, const uint16_t *from) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16)); }
  template <class Type>
  static F load_part(Type type, const typename Type::Storage *from, int64_t count) {
    typename Type::Storage whole[width] = {};
    for (int64_t i = 0; i < count; ++i) whole[i] = from[i];
    return load(type, whole);
  }
  static void store(float *to, F value) { vst1q_f32(to, value); }
  static void store(Float32, float *to, F value) { store(to, value); }
  static void store(Float16, uint16_t *to, F value) { vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32(value))); }
  static void store(BFloat16, uint16_t *to, F value) {
    const uint32x4_t read = vreinterpretq_u32_f32(value);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(read, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(read, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(read, vdupq_n_u32(0x400000));
    vst1_u16(to, vshrn_n_u32(vbslq_u32(vceqq_f32(value, value), rounded, quiet), 16));
  }

  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  // The second operand where one is NaN, as on x86.
  static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F head(F value, int64_t count, F rest) {
    return vbslq_f32(vcgtq_s32(set(static_cast<int32_t>(count)), lanes()), value, rest);
  }

  template <int level>
  static void interleave(F a, F b, F &first, F &second) {
    first = vzip1q_f32(a, b);
    second = vzip2q_f32(a, b);
  }

  // Sums in double: one large value among many small ones costs a float sum more than 10 ulp.
  struct Sum {
    float64x2_t low = vdupq_n_f64(0), high = vdupq_n_f64(0);
    void add(F value) {
      low = vaddq_f64(low, vcvt_f64_f32(vget_low_f32(value)));
      high = vaddq_f64(high, vcvt_high_f64_f32(value));
    }
    double total() const { return vaddvq_f64(vaddq_f64(low, high)); }
  };

  static I set(int32_t value) { return vdupq_n_s32(value); }
  static I load(const int32_t *from) { return vld1q_s32(from); }
  static void store(int32_t *to, I value) { vst1q_s32(to, value); }
  static I bits(F value) { return vreinterpretq_s32_f32(value); }
  static F floats(I bits) { return vreinterpretq_f32_s32(bits); }
  static I add(I a, I b) { return vaddq_s32(a, b); }
  static I shift_to_exponent(I value) { return vshlq_n_s32(value, 23); }
  static I key(F value) {
    const I read = bits(vaddq_f32(value, set(0.0f)));
    const uint32x4_t flip = vshrq_n_u32(vreinterpretq_u32_s32(vshrq_n_s32(read, 31)), 1);
    return vbslq_s32(vceqq_f32(value, value), veorq_s32(read, vreinterpretq_s32_u32(flip)), set(lowest_key));
  }
  static I count_greater(I counts, I a, I b) { return minus_mask(counts, vcgtq_s32(a, b)); }
  static I count_greater(I counts, F a, F b) { return minus_mask(counts, vcgtq_f32(a, b)); }
  static F where_less(I counts, int32_t limit, F value, F rest) {
    return vbslq_f32(vcltq_s32(counts, set(limit)), value, rest);
  }

  template <bool strictly>
  static int64_t append(int32_t *indices, float *values, int32_t index, F value, F bound) {
    constexpr uint32_t weights[4] = {1, 2, 4, 8};
    const uint32x4_t wins = strictly ? vcgtq_f32(value, bound) : vcgeq_f32(value, bound);
    const uint32_t mask = vaddvq_u32(vandq_u32(wins, vld1q_u32(weights)));
    const uint32x4_t lanes = vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(compressions[mask]))));
    store(indices, vaddq_s32(set(index), vreinterpretq_s32_u32(lanes)));
    const uint8x16_t bytes = vreinterpretq_u8_u32(vmlaq_u32(vdupq_n_u32(0x03020100), lanes, vdupq_n_u32(0x04040404)));
    store(values, vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(value), bytes)));
    return __builtin_popcount(mask);
  }

 private:
  static I lanes() {
    constexpr int32_t numbers[4] = {0, 1, 2, 3};
    return vld1q_s32(numbers);
  }
  static I minus_mask(I counts, uint32x4_t mask) { return vsubq_s32(counts, vreinterpretq_s32_u32(mask)); }
};

}  // namespace
}  // namespace moe_gating
