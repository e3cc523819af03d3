// Four floats in a register of NEON, as every 64-bit Arm processor has it.
#pragma once

#include <arm_neon.h>

#include "bits.h"
#include "half.h"

namespace moe_gating {
namespace {

// Per mask of four lanes: the numbers of its lanes, one byte each.
constexpr uint8_t compressions[16][8] = {{0}, {0},    {1},    {0, 1},    {2},    {0, 2},    {1, 2},    {0, 1, 2},
                                         {3}, {0, 3}, {1, 3}, {0, 1, 3}, {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}};

struct Vector {
  using F = float32x4_t;
  using I = int32x4_t;
  using D = float64x2_t;
  static constexpr int64_t width = 4;
  static constexpr int table_bits = 0;

  static F set(float value) { return vdupq_n_f32(value); }
  static F load(const float *from) { return vld1q_f32(from); }
  static F load(Float32, const float *from) { return load(from); }
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
  static F sqrt(F a) { return vsqrtq_f32(a); }
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

  // Takes the rows of a square to its columns.
  static void transpose(F (&square)[width]) {
    const float32x4x2_t ab = vzipq_f32(square[0], square[2]), cd = vzipq_f32(square[1], square[3]);
    const float32x4x2_t low = vzipq_f32(ab.val[0], cd.val[0]), high = vzipq_f32(ab.val[1], cd.val[1]);
    square[0] = low.val[0], square[1] = low.val[1], square[2] = high.val[0], square[3] = high.val[1];
  }

  static float total(F value) { return vaddvq_f32(value); }

  // Sums in double: one large value among many small ones costs a float sum more than 10 ulp.
  struct Sum {
    float64x2_t low = vdupq_n_f64(0), high = vdupq_n_f64(0);
    void add(F value) {
      low = vaddq_f64(low, vcvt_f64_f32(vget_low_f32(value)));
      high = vaddq_f64(high, vcvt_high_f64_f32(value));
    }
    double total() const { return vaddvq_f64(vaddq_f64(low, high)); }
  };

  static D load(const double *from) { return vld1q_f64(from); }
  static void store(double *to, D value) { vst1q_f64(to, value); }
  static D max(D a, D b) { return vmaxq_f64(a, b); }
  static D min(D a, D b) { return vminq_f64(a, b); }

  static I set(int32_t value) { return vdupq_n_s32(value); }
  static I load(const int32_t *from) { return vld1q_s32(from); }
  static void store(int32_t *to, I value) { vst1q_s32(to, value); }
  static I bits(F value) { return vreinterpretq_s32_f32(value); }
  static F floats(I bits) { return vreinterpretq_f32_s32(bits); }
  static I add(I a, I b) { return vaddq_s32(a, b); }
  static I sub(I a, I b) { return vsubq_s32(a, b); }
  static I max(I a, I b) { return vmaxq_s32(a, b); }
  static I min(I a, I b) { return vminq_s32(a, b); }
  static int32_t total(I value) { return vaddvq_s32(value); }
  static I both(I a, I b) { return vandq_s32(a, b); }
  template <int bits>
  static I scaled(I a, int32_t factor) {
    return vshrq_n_s32(vmulq_n_s32(a, factor), bits);
  }
  static I shift_to_exponent(I value) { return vshlq_n_s32(value, 23); }
  static I entry(const int32_t *table, I) { return set(table[0]); }
  static I key(F value) {
    const I read = bits(vaddq_f32(value, set(0.0f)));
    const uint32x4_t flip = vshrq_n_u32(vreinterpretq_u32_s32(vshrq_n_s32(read, 31)), 1);
    return vbslq_s32(vceqq_f32(value, value), veorq_s32(read, vreinterpretq_s32_u32(flip)), set(lowest_key));
  }
  static I count_greater(I counts, I a, I b) { return minus_mask(counts, vcgtq_s32(a, b)); }
  static I count_greater(I counts, F a, F b) { return minus_mask(counts, vcgtq_f32(a, b)); }
  static I count_not_less(I counts, I a, I b) { return minus_mask(counts, vcgeq_s32(a, b)); }
  static I add_where_less(I sums, I counts, int32_t limit, int32_t value) {
    return add(sums, both(vreinterpretq_s32_u32(vcltq_s32(counts, set(limit))), set(value)));
  }
  static F where_less(I counts, int32_t limit, F value, F rest) {
    return vbslq_f32(vcltq_s32(counts, set(limit)), value, rest);
  }

  // A bit for each lane.
  static uint64_t at_least(F a, F b) { return bits_of_lanes(vcgeq_f32(a, b)); }
  static uint64_t greater(F a, F b) { return bits_of_lanes(vcgtq_f32(a, b)); }
  static uint64_t equal(F a, F b) { return bits_of_lanes(vceqq_f32(a, b)); }
  static void unpack(uint64_t bits, int64_t count, int32_t base, int32_t *to) { unpack_bits(bits, count, base, to); }
  static F gather(const float *from, I indices) {
    const float lanes[4] = {from[vgetq_lane_s32(indices, 0)], from[vgetq_lane_s32(indices, 1)],
                            from[vgetq_lane_s32(indices, 2)], from[vgetq_lane_s32(indices, 3)]};
    return vld1q_f32(lanes);
  }

  // Of a table of 16: the entries that the low four bits of the indices name.
  static I pick(const int32_t *table, I indices) {
    const uint8x16x4_t bytes = vld1q_u8_x4(reinterpret_cast<const uint8_t *>(table));
    return vreinterpretq_s32_u8(vqtbl4q_u8(bytes, bytes_of(vreinterpretq_u32_s32(indices))));
  }
  static F pick(const float *table, I indices) {
    return floats(pick(reinterpret_cast<const int32_t *>(table), indices));
  }
  static bool any_less(F a, F b) { return vminvq_u32(vcgeq_f32(a, b)) == 0; }  // or NaN

  template <bool strictly>
  static int64_t append(int32_t *indices, float *values, int32_t index, F value, F bound) {
    const uint64_t mask = strictly ? greater(value, bound) : at_least(value, bound);
    const uint32x4_t lanes = vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(compressions[mask]))));
    store(indices, vaddq_s32(set(index), vreinterpretq_s32_u32(lanes)));
    store(values, vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(value), bytes_of(lanes))));
    return __builtin_popcountll(mask);
  }

 private:
  static uint64_t bits_of_lanes(uint32x4_t mask) {
    constexpr uint32_t weights[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(mask, vld1q_u32(weights)));
  }
  // The numbers of the four bytes of each of these numbers of floats.
  static uint8x16_t bytes_of(uint32x4_t floats) {
    return vreinterpretq_u8_u32(vmlaq_u32(vdupq_n_u32(0x03020100), floats, vdupq_n_u32(0x04040404)));
  }
  static I lanes() {
    constexpr int32_t numbers[4] = {0, 1, 2, 3};
    return vld1q_s32(numbers);
  }
  static I minus_mask(I counts, uint32x4_t mask) { return vsubq_s32(counts, vreinterpretq_s32_u32(mask)); }
};

}  // namespace
}  // namespace moe_gating
