// Sixteen floats in a register of AVX-512 (F, BW and VBMI2).
#pragma once

#include <immintrin.h>

#include "half.h"

namespace moe_gating {
namespace {

template <int count>
struct Numbers {
  uint8_t of[count] = {};
  constexpr Numbers() {
    for (int i = 0; i < count; ++i) of[i] = static_cast<uint8_t>(i);
  }
};

struct Vector {
  using F = __m512;
  using I = __m512i;
  using D = __m512d;
  static constexpr int64_t width = 16;
  static constexpr int table_bits = 4;

  static F set(float value) { return _mm512_set1_ps(value); }
  static F load(const float *from) { return _mm512_loadu_ps(from); }
  static F load(Float32, const float *from) { return load(from); }
  static F load(Float16, const uint16_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
  }
  static F load(BFloat16, const uint16_t *from) {
    return widen(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from))));
  }
  static F load_part(Float32, const float *from, int64_t count) {
    return _mm512_maskz_loadu_ps(lanes_below(count), from);
  }
  static F load_part(Float16, const uint16_t *from, int64_t count) {
    return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_maskz_loadu_epi16(lanes_below(count), from)));
  }
  static F load_part(BFloat16, const uint16_t *from, int64_t count) {
    return widen(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(_mm512_maskz_loadu_epi16(lanes_below(count), from))));
  }
  static void store(float *to, F value) { _mm512_storeu_ps(to, value); }
  static void store(Float32, float *to, F value) { store(to, value); }
  static void store(Float16, uint16_t *to, F value) {
    store_halves(to, _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void store(BFloat16, uint16_t *to, F value) {
    const I read = bits(value);
    const I odd = _mm512_and_si512(_mm512_srli_epi32(read, 16), set(int32_t{1}));
    const I rounded = add(read, add(odd, set(int32_t{0x7fff})));
    const I quiet = _mm512_or_si512(read, set(int32_t{0x400000}));
    const I chosen = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), quiet);
    store_halves(to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16)));
  }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F sqrt(F a) { return _mm512_sqrt_ps(a); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F head(F value, int64_t count, F rest) { return _mm512_mask_mov_ps(rest, lanes_below(count), value); }

  template <int level>
  static void interleave(F a, F b, F &first, F &second) {
    if (level < 2) {
      first = _mm512_unpacklo_ps(a, b);
      second = _mm512_unpackhi_ps(a, b);
    } else {
      first = _mm512_shuffle_f32x4(a, b, 0x88);
      second = _mm512_shuffle_f32x4(a, b, 0xdd);
    }
  }

  // Takes the rows of a square to its columns.
  static void transpose(F (&square)[width]) {
    F pairs[width], quads[width];
    for (int i = 0; i < width; i += 2) {
      pairs[i] = _mm512_unpacklo_ps(square[i], square[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_ps(square[i], square[i + 1]);
    }
    for (int i = 0; i < width; i += 4)
      for (int half = 0; half < 2; ++half) {
        const __m512d a = _mm512_castps_pd(pairs[i + half]), b = _mm512_castps_pd(pairs[i + 2 + half]);
        quads[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        quads[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
      }
    for (int i = 0; i < 4; ++i) {  // the quarters of the registers
      const F a = _mm512_shuffle_f32x4(quads[i], quads[i + 4], 0x88);
      const F b = _mm512_shuffle_f32x4(quads[i], quads[i + 4], 0xdd);
      const F c = _mm512_shuffle_f32x4(quads[i + 8], quads[i + 12], 0x88);
      const F d = _mm512_shuffle_f32x4(quads[i + 8], quads[i + 12], 0xdd);
      square[i] = _mm512_shuffle_f32x4(a, c, 0x88);
      square[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
      square[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
      square[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
  }

  static float total(F value) { return _mm512_reduce_add_ps(value); }

  // Sums in double: one large value among many small ones costs a float sum more than 10 ulp.
  struct Sum {
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    void add(F value) {
      low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(value)));
      high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1)));
    }
    double total() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
  };

  static D load(const double *from) { return _mm512_loadu_pd(from); }
  static void store(double *to, D value) { _mm512_storeu_pd(to, value); }
  static D max(D a, D b) { return _mm512_max_pd(a, b); }
  static D min(D a, D b) { return _mm512_min_pd(a, b); }

  static I set(int32_t value) { return _mm512_set1_epi32(value); }
  static I load(const int32_t *from) { return _mm512_loadu_si512(from); }
  static void store(int32_t *to, I value) { _mm512_storeu_si512(to, value); }
  static I bits(F value) { return _mm512_castps_si512(value); }
  static F floats(I bits) { return _mm512_castsi512_ps(bits); }
  static I add(I a, I b) { return _mm512_add_epi32(a, b); }
  static I max(I a, I b) { return _mm512_max_epi32(a, b); }
  static I min(I a, I b) { return _mm512_min_epi32(a, b); }
  static int32_t total(I value) { return _mm512_reduce_add_epi32(value); }
  static I both(I a, I b) { return _mm512_and_si512(a, b); }
  template <int bits>
  static I scaled(I a, int32_t factor) {
    return _mm512_srli_epi32(_mm512_mullo_epi32(a, set(factor)), bits);
  }
  static I shift_to_exponent(I value) { return _mm512_slli_epi32(value, 23 - table_bits); }
  // Of a table of 2^table_bits: the entries that the low bits of the indices name.
  static I entry(const int32_t *table, I indices) { return _mm512_permutexvar_epi32(indices, load(table)); }
  static I key(F value) {
    const I read = bits(_mm512_add_ps(value, _mm512_setzero_ps()));
    const I ordered = _mm512_xor_si512(read, _mm512_srli_epi32(_mm512_srai_epi32(read, 31), 1));
    return _mm512_mask_mov_epi32(ordered, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), set(lowest_key));
  }
  static I count_greater(I counts, I a, I b) {
    return _mm512_mask_add_epi32(counts, _mm512_cmpgt_epi32_mask(a, b), counts, set(1));
  }
  static I count_greater(I counts, F a, F b) {
    return _mm512_mask_add_epi32(counts, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), counts, set(1));
  }
  static I count_not_less(I counts, I a, I b) {
    return _mm512_mask_add_epi32(counts, _mm512_cmpge_epi32_mask(a, b), counts, set(1));
  }
  static I add_where_less(I sums, I counts, int32_t limit, int32_t value) {
    return _mm512_mask_add_epi32(sums, _mm512_cmplt_epi32_mask(counts, set(limit)), sums, set(value));
  }
  static F where_less(I counts, int32_t limit, F value, F rest) {
    return _mm512_mask_mov_ps(rest, _mm512_cmpgt_epi32_mask(set(limit), counts), value);
  }

  static I sub(I a, I b) { return _mm512_sub_epi32(a, b); }
  // A bit for each lane.
  static uint64_t at_least(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static uint64_t greater(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
  static uint64_t equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  // Writes the numbers of the bits that are set, each plus `base`, at least the first 16 of them; behind them any numbers of
  // bits.
  static void unpack(uint64_t bits, int64_t, int32_t base, int32_t *to) {
    alignas(64) static constexpr Numbers<64> numbers;
    const I kept = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(numbers.of));
    store(to, add(set(base), _mm512_cvtepu8_epi32(_mm512_castsi512_si128(kept))));
  }
  static F gather(const float *from, I indices) { return _mm512_i32gather_ps(indices, from, 4); }

  // Of a table of 16: the entries that the low four bits of the indices name.
  static I pick(const int32_t *table, I indices) { return _mm512_permutexvar_epi32(indices, load(table)); }
  static F pick(const float *table, I indices) { return _mm512_permutexvar_ps(indices, load(table)); }
  static bool any_less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_NGE_UQ) != 0; }  // or NaN

  template <bool strictly>
  static int64_t append(int32_t *indices, float *values, int32_t index, F value, F bound) {
    const __mmask16 mask = _mm512_cmp_ps_mask(value, bound, strictly ? _CMP_GT_OQ : _CMP_GE_OQ);
    const I lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    // Compressed in a register: straight to memory it is microcode on some processors. Half a register is most often
    // enough, and does not cross as many cache lines.
    const I kept_indices = _mm512_maskz_compress_epi32(mask, add(set(index), lanes));
    const F kept_values = _mm512_maskz_compress_ps(mask, value);
    const int count = __builtin_popcount(mask);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(indices), _mm512_castsi512_si256(kept_indices));
    _mm256_storeu_ps(values, _mm512_castps512_ps256(kept_values));
    if (__builtin_expect(count > 8, 0)) {
      store(indices, kept_indices);
      store(values, kept_values);
    }
    return count;
  }

 private:
  static F widen(I halves) { return floats(_mm512_slli_epi32(halves, 16)); }
  static void store_halves(uint16_t *to, __m256i halves) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), halves);
  }
  static __mmask16 lanes_below(int64_t count) {
    return static_cast<__mmask16>(count < width ? (1u << count) - 1 : 0xffff);
  }
};

}  // namespace
}  // namespace moe_gating
