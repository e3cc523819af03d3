// The intrinsics of kernels/vector_avx512.h for processors that have no AVX-512, from the description of each instruction.
// Included before that file: in the kernel's namespace these names hide the compiler's own.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "../../kernels/half.h"

namespace moe_gating {
namespace {

// Vectors of the compiler, whose operators go lane by lane on any processor.
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint8_t Bytes __attribute__((vector_size(64)));
typedef uint8_t QuarterBytes __attribute__((vector_size(16)));
typedef uint16_t Halves __attribute__((vector_size(64)));
typedef uint16_t HalfHalves __attribute__((vector_size(32)));

// The first bytes of `from`, as they are.
template <class To>
To read(const void *from) {
  To to;
  std::memcpy(&to, from, sizeof to);
  return to;
}
template <class Register, class Lane>
Register load_lanes(uint64_t mask, const Lane *from) {
  Register to{};
  for (size_t i = 0; i < sizeof(Register) / sizeof(Lane); ++i)  // what is masked is not touched
    if (mask >> i & 1) to[i] = from[i];
  return to;
}
template <class Register>
Register compress(uint64_t mask, Register from) {
  Register to{};
  for (size_t i = 0, kept = 0; i < sizeof from / sizeof from[0]; ++i)
    if (mask >> i & 1) to[kept++] = from[i];
  return to;
}
// Halves onto halves, as compilers write it.
template <class Register>
auto fold(Register a) {
  for (size_t half = sizeof a / sizeof a[0] / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i) a[i] += a[i + half];
  return a[0];
}
inline __mmask16 mask_of(Ints lanes) {
  uint32_t mask = 0;
  for (int i = 0; i < 16; ++i) mask |= (lanes[i] & 1u) << i;
  return static_cast<__mmask16>(mask);
}
inline Ints lanes_of(__mmask16 mask) {
  Ints lanes;
  for (int i = 0; i < 16; ++i) lanes[i] = -(mask >> i & 1);
  return lanes;
}

inline __m512 _mm512_set1_ps(float value) { return value - __m512{}; }
inline __m512 _mm512_setzero_ps() { return __m512{}; }
inline __m512d _mm512_setzero_pd() { return __m512d{}; }
inline __m512i _mm512_set1_epi32(int32_t value) { return __m512i(value - Ints{}); }
#undef _mm512_setr_epi32
template <class... Lanes>
__m512i _mm512_setr_epi32(Lanes... lanes) {
  return __m512i(Ints{lanes...});
}

inline __m512 _mm512_loadu_ps(const void *from) { return read<__m512>(from); }
inline __m512d _mm512_loadu_pd(const void *from) { return read<__m512d>(from); }
inline __m512i _mm512_loadu_si512(const void *from) { return read<__m512i>(from); }
inline __m512i _mm512_load_si512(const void *from) { return read<__m512i>(from); }
inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float *from) { return load_lanes<__m512>(mask, from); }
inline __m512i _mm512_maskz_loadu_epi16(__mmask32 mask, const uint16_t *from) {
  return __m512i(load_lanes<Halves>(mask, from));
}
inline void _mm512_storeu_ps(void *to, __m512 value) { std::memcpy(to, &value, sizeof value); }
inline void _mm512_storeu_pd(void *to, __m512d value) { std::memcpy(to, &value, sizeof value); }
inline void _mm512_storeu_si512(void *to, __m512i value) { std::memcpy(to, &value, sizeof value); }

inline __m512i _mm512_castps_si512(__m512 a) { return __m512i(a); }
inline __m512 _mm512_castsi512_ps(__m512i a) { return __m512(a); }
inline __m512d _mm512_castps_pd(__m512 a) { return __m512d(a); }
inline __m512 _mm512_castpd_ps(__m512d a) { return __m512(a); }
inline __m256 _mm512_castps512_ps256(__m512 a) { return read<__m256>(&a); }
inline __m256i _mm512_castsi512_si256(__m512i a) { return read<__m256i>(&a); }
inline __m128i _mm512_castsi512_si128(__m512i a) { return read<__m128i>(&a); }
inline __m256 _mm512_extractf32x8_ps(__m512 a, int half) {
  return read<__m256>(reinterpret_cast<const char *>(&a) + 32 * half);
}

inline __m512 _mm512_cvtph_ps(__m256i a) {
  __m512 to;
  for (int i = 0; i < 16; ++i) to[i] = Float16::load(HalfHalves(a)[i]);
  return to;
}
inline __m256i _mm512_cvtps_ph(__m512 a, int) {  // to nearest even
  HalfHalves to;
  for (int i = 0; i < 16; ++i) to[i] = Float16::store(a[i]);
  return __m256i(to);
}
inline __m512d _mm512_cvtps_pd(__m256 a) { return __builtin_convertvector(a, __m512d); }
inline __m512i _mm512_cvtepu8_epi32(__m128i a) { return __m512i(__builtin_convertvector(QuarterBytes(a), Words)); }
inline __m512i _mm512_cvtepu16_epi32(__m256i a) { return __m512i(__builtin_convertvector(HalfHalves(a), Words)); }
inline __m256i _mm512_cvtepi32_epi16(__m512i a) { return __m256i(__builtin_convertvector(Words(a), HalfHalves)); }

inline __m512 _mm512_add_ps(__m512 a, __m512 b) { return a + b; }
inline __m512 _mm512_sub_ps(__m512 a, __m512 b) { return a - b; }
inline __m512 _mm512_mul_ps(__m512 a, __m512 b) { return a * b; }
inline __m512 _mm512_div_ps(__m512 a, __m512 b) { return a / b; }
inline __m512 _mm512_sqrt_ps(__m512 a) {
  __m512 root;
  for (int i = 0; i < 16; ++i) root[i] = __builtin_sqrtf(a[i]);
  return root;
}
inline __m512 _mm512_max_ps(__m512 a, __m512 b) { return a > b ? a : b; }  // of NaN, the second
inline __m512 _mm512_min_ps(__m512 a, __m512 b) { return a < b ? a : b; }
inline __m512d _mm512_add_pd(__m512d a, __m512d b) { return a + b; }
inline __m512d _mm512_max_pd(__m512d a, __m512d b) { return a > b ? a : b; }
inline __m512d _mm512_min_pd(__m512d a, __m512d b) { return a < b ? a : b; }
inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  for (int i = 0; i < 16; ++i) c[i] = std::fma(a[i], b[i], c[i]);
  return c;
}
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) { return __m512i(Words(a) + Words(b)); }
inline __m512i _mm512_sub_epi32(__m512i a, __m512i b) { return __m512i(Words(a) - Words(b)); }
inline __m512i _mm512_mullo_epi32(__m512i a, __m512i b) { return __m512i(Words(a) * Words(b)); }
inline __m512i _mm512_max_epi32(__m512i a, __m512i b) { return __m512i(Ints(a) > Ints(b) ? Ints(a) : Ints(b)); }
inline __m512i _mm512_min_epi32(__m512i a, __m512i b) { return __m512i(Ints(a) < Ints(b) ? Ints(a) : Ints(b)); }
inline __m512i _mm512_and_si512(__m512i a, __m512i b) { return a & b; }
inline __m512i _mm512_or_si512(__m512i a, __m512i b) { return a | b; }
inline __m512i _mm512_xor_si512(__m512i a, __m512i b) { return a ^ b; }
inline __m512i _mm512_slli_epi32(__m512i a, unsigned by) { return __m512i(Words(a) << by); }
inline __m512i _mm512_srli_epi32(__m512i a, unsigned by) { return __m512i(Words(a) >> by); }
inline __m512i _mm512_srai_epi32(__m512i a, unsigned by) { return __m512i(Ints(a) >> by); }

inline __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int how) {
  switch (how) {
    case _CMP_EQ_OQ: return mask_of(a == b);
    case _CMP_GT_OQ: return mask_of(a > b);
    case _CMP_GE_OQ: return mask_of(a >= b);
    case _CMP_NGE_UQ: return mask_of(~(a >= b));
    case _CMP_UNORD_Q: return mask_of((a != a) | (b != b));
    default: throw how;
  }
}
inline __mmask16 _mm512_cmpgt_epi32_mask(__m512i a, __m512i b) { return mask_of(Ints(a) > Ints(b)); }
inline __mmask16 _mm512_cmpge_epi32_mask(__m512i a, __m512i b) { return mask_of(Ints(a) >= Ints(b)); }
inline __mmask16 _mm512_cmplt_epi32_mask(__m512i a, __m512i b) { return mask_of(Ints(a) < Ints(b)); }

inline __m512 _mm512_mask_mov_ps(__m512 rest, __mmask16 mask, __m512 value) { return lanes_of(mask) ? value : rest; }
inline __m512i _mm512_mask_mov_epi32(__m512i rest, __mmask16 mask, __m512i value) {
  return __m512i(lanes_of(mask) ? Ints(value) : Ints(rest));
}
inline __m512i _mm512_mask_add_epi32(__m512i rest, __mmask16 mask, __m512i a, __m512i b) {
  return _mm512_mask_mov_epi32(rest, mask, _mm512_add_epi32(a, b));
}

// Of each 128 bits.
inline __m512 _mm512_unpacklo_ps(__m512 a, __m512 b) {
  return __builtin_shuffle(a, b, Ints{0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29});
}
inline __m512 _mm512_unpackhi_ps(__m512 a, __m512 b) {
  return __builtin_shuffle(a, b, Ints{2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31});
}
inline __m512d _mm512_unpacklo_pd(__m512d a, __m512d b) {
  return __builtin_shuffle(a, b, __m512i{0, 8, 2, 10, 4, 12, 6, 14});
}
inline __m512d _mm512_unpackhi_pd(__m512d a, __m512d b) {
  return __builtin_shuffle(a, b, __m512i{1, 9, 3, 11, 5, 13, 7, 15});
}
inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int quarters) {
  __m512 to;
  for (int i = 0; i < 16; ++i) {
    const int from = (quarters >> (i / 4 * 2) & 3) * 4 + i % 4;
    to[i] = i < 8 ? a[from] : b[from];
  }
  return to;
}
inline __m512 _mm512_permutexvar_ps(__m512i indices, __m512 table) { return __builtin_shuffle(table, Ints(indices)); }
inline __m512i _mm512_permutexvar_epi32(__m512i indices, __m512i table) {
  return __m512i(__builtin_shuffle(Ints(table), Ints(indices)));
}
inline __m512 _mm512_i32gather_ps(__m512i indices, const void *from, int scale) {
  __m512 to;
  for (int i = 0; i < 16; ++i) to[i] = read<float>(static_cast<const char *>(from) + int64_t{scale} * Ints(indices)[i]);
  return to;
}
inline __m512i _mm512_maskz_compress_epi8(__mmask64 mask, __m512i a) { return __m512i(compress(mask, Bytes(a))); }
inline __m512i _mm512_maskz_compress_epi32(__mmask16 mask, __m512i a) { return __m512i(compress(mask, Ints(a))); }
inline __m512 _mm512_maskz_compress_ps(__mmask16 mask, __m512 a) { return compress(mask, a); }

inline float _mm512_reduce_add_ps(__m512 a) { return fold(a); }
inline double _mm512_reduce_add_pd(__m512d a) { return fold(a); }
inline int32_t _mm512_reduce_add_epi32(__m512i a) { return fold(Ints(a)); }

}  // namespace
}  // namespace moe_gating
