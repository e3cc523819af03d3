// Eight floats in a register of AVX2, with FMA and F16C.
#pragma once

#include <immintrin.h>

#include "bits.h"
#include "half.h"

namespace moe_gating {
namespace {

struct Compressions {
  uint64_t lanes[256] = {};  // per mask: the numbers of its lanes, one byte each
  constexpr Compressions() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      int count = 0;
      for (uint64_t lane = 0; lane < 8; ++lane)
        if (mask >> lane & 1) lanes[mask] |= lane << (8 * count++);
    }
  }
};
constexpr Compressions compressions;

struct Vector {
  using F = __m256;
  using I = __m256i;
  using D = __m256d;
  static constexpr int64_t width = 8;
  static constexpr int table_bits = 3;

  static F set(float value) { return _mm256_set1_ps(value); }
  static F load(const float *from) { return _mm256_loadu_ps(from); }
  static F load(Float32, const float *from) { return load(from); }
  static F load(Float16, const uint16_t *from) { return _mm256_cvtph_ps(load_halves(from)); }
  static F load(BFloat16, const uint16_t *from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_halves(from)), 16));
  }
  static F load_part(Float32, const float *from, int64_t count) { return _mm256_maskload_ps(from, lanes_below(count)); }
  template <class Half>
  static F load_part(Half type, const uint16_t *from, int64_t count) {
    uint16_t whole[width] = {};
    for (int64_t i = 0; i < count; ++i) whole[i] = from[i];
    return load(type, whole);
  }
  static void store(float *to, F value) { _mm256_storeu_ps(to, value); }
  static void store(Float32, float *to, F value) { store(to, value); }
  static void store(Float16, uint16_t *to, F value) {
    store_halves(to, _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void store(BFloat16, uint16_t *to, F value) {
    const I read = bits(value);
    const I odd = _mm256_and_si256(_mm256_srli_epi32(read, 16), set(int32_t{1}));
    const I rounded = add(read, add(odd, set(int32_t{0x7fff})));
    const I quiet = _mm256_or_si256(read, set(int32_t{0x400000}));
    const I chosen = _mm256_blendv_epi8(rounded, quiet, bits(_mm256_cmp_ps(value, value, _CMP_UNORD_Q)));
    const I halves = _mm256_srli_epi32(chosen, 16);
    store_halves(to, _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
  }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F sqrt(F a) { return _mm256_sqrt_ps(a); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F head(F value, int64_t count, F rest) {
    return _mm256_blendv_ps(rest, value, _mm256_castsi256_ps(lanes_below(count)));
  }

  template <int level>
  static void interleave(F a, F b, F &first, F &second) {
    if (level < 2) {
      first = _mm256_unpacklo_ps(a, b);
      second = _mm256_unpackhi_ps(a, b);
    } else {
      first = _mm256_permute2f128_ps(a, b, 0x20);
      second = _mm256_permute2f128_ps(a, b, 0x31);
    }
  }

  // Takes the rows of a square to its columns.
  static void transpose(F (&square)[width]) {
    F pairs[width], quads[width];
    for (int i = 0; i < width; i += 2) {
      pairs[i] = _mm256_unpacklo_ps(square[i], square[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_ps(square[i], square[i + 1]);
    }
    for (int i = 0; i < width; i += 4)
      for (int half = 0; half < 2; ++half) {
        quads[i + 2 * half] = _mm256_shuffle_ps(pairs[i + half], pairs[i + 2 + half], 0x44);
        quads[i + 2 * half + 1] = _mm256_shuffle_ps(pairs[i + half], pairs[i + 2 + half], 0xee);
      }
    for (int i = 0; i < 4; ++i) {
      square[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
      square[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
    }
  }

  static float total(F value) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
  }

  // Sums in double: one large value among many small ones costs a float sum more than 10 ulp.
  struct Sum {
    __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
    void add(F value) {
      low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(value)));
      high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1)));
    }
    double total() const {
      double lanes[4];
      _mm256_storeu_pd(lanes, _mm256_add_pd(low, high));
      return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    }
  };

  static D load(const double *from) { return _mm256_loadu_pd(from); }
  static void store(double *to, D value) { _mm256_storeu_pd(to, value); }
  static D max(D a, D b) { return _mm256_max_pd(a, b); }
  static D min(D a, D b) { return _mm256_min_pd(a, b); }

  static I set(int32_t value) { return _mm256_set1_epi32(value); }
  static I load(const int32_t *from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)); }
  static void store(int32_t *to, I value) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), value); }
  static I bits(F value) { return _mm256_castps_si256(value); }
  static F floats(I bits) { return _mm256_castsi256_ps(bits); }
  static I add(I a, I b) { return _mm256_add_epi32(a, b); }
  static I sub(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I max(I a, I b) { return _mm256_max_epi32(a, b); }
  static I min(I a, I b) { return _mm256_min_epi32(a, b); }
  static int32_t total(I value) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1)));
  }
  static I both(I a, I b) { return _mm256_and_si256(a, b); }
  template <int bits>
  static I scaled(I a, int32_t factor) {
    return _mm256_srli_epi32(_mm256_mullo_epi32(a, set(factor)), bits);
  }
  static I shift_to_exponent(I value) { return _mm256_slli_epi32(value, 23 - table_bits); }
  // Of a table of 2^table_bits: the entries that the low bits of the indices name.
  static I entry(const int32_t *table, I indices) { return _mm256_permutevar8x32_epi32(load(table), indices); }
  static I key(F value) {
    const I read = bits(_mm256_add_ps(value, _mm256_setzero_ps()));
    const I ordered = _mm256_xor_si256(read, _mm256_srli_epi32(_mm256_srai_epi32(read, 31), 1));
    return _mm256_blendv_epi8(ordered, set(lowest_key), bits(_mm256_cmp_ps(value, value, _CMP_UNORD_Q)));
  }
  static I count_greater(I counts, I a, I b) { return _mm256_sub_epi32(counts, _mm256_cmpgt_epi32(a, b)); }
  static I count_greater(I counts, F a, F b) { return _mm256_sub_epi32(counts, bits(_mm256_cmp_ps(a, b, _CMP_GT_OQ))); }
  static I count_not_less(I counts, I a, I b) {
    return _mm256_add_epi32(add(counts, set(int32_t{1})), _mm256_cmpgt_epi32(b, a));
  }
  static I add_where_less(I sums, I counts, int32_t limit, int32_t value) {
    return add(sums, both(_mm256_cmpgt_epi32(set(limit), counts), set(value)));
  }
  static F where_less(I counts, int32_t limit, F value, F rest) {
    return _mm256_blendv_ps(rest, value, floats(_mm256_cmpgt_epi32(set(limit), counts)));
  }

  // A bit for each lane.
  static uint64_t at_least(F a, F b) { return bits_of_lanes(_mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
  static uint64_t greater(F a, F b) { return bits_of_lanes(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
  static uint64_t equal(F a, F b) { return bits_of_lanes(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
  static void unpack(uint64_t bits, int64_t count, int32_t base, int32_t *to) { unpack_bits(bits, count, base, to); }
  static F gather(const float *from, I indices) { return _mm256_i32gather_ps(from, indices, 4); }

  // Of a table of 16: the entries that the low four bits of the indices name.
  static F pick(const float *table, I indices) {
    const F low = _mm256_permutevar8x32_ps(load(table), indices);
    const F high = _mm256_permutevar8x32_ps(load(table + 8), indices);
    return _mm256_blendv_ps(low, high, floats(_mm256_slli_epi32(indices, 28)));
  }
  static I pick(const int32_t *table, I indices) { return bits(pick(reinterpret_cast<const float *>(table), indices)); }
  static bool any_less(F a, F b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NGE_UQ)) != 0; }  // or NaN

  template <bool strictly>
  static int64_t append(int32_t *indices, float *values, int32_t index, F value, F bound) {
    const auto mask =
        static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(value, bound, strictly ? _CMP_GT_OQ : _CMP_GE_OQ)));
    const I lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(&compressions.lanes[mask])));
    store(indices, _mm256_add_epi32(set(index), lanes));
    store(values, _mm256_permutevar8x32_ps(value, lanes));
    return __builtin_popcount(mask);
  }

 private:
  static uint64_t bits_of_lanes(F mask) { return static_cast<uint64_t>(_mm256_movemask_ps(mask)); }
  static __m128i load_halves(const uint16_t *from) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(from)); }
  static void store_halves(uint16_t *to, __m128i halves) { _mm_storeu_si128(reinterpret_cast<__m128i *>(to), halves); }
  static I lanes_below(int64_t count) {
    return _mm256_cmpgt_epi32(set(static_cast<int32_t>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace
}  // namespace moe_gating
