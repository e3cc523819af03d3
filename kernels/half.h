// The three element types: load() to float32 is exact, store() rounds once, to nearest even. And floats as integers.
//
// All that the versions of the kernel include is in unnamed namespaces: a function that was compiled for AVX-512 must
// never be the one that the linker keeps for everybody.
#pragma once

#include <cstdint>
#include <cstring>

// A call for each row would cost as much as a quarter of a row: the steps are inlined into the loops over rows. Without wide
// vectors and under sanitizers that is not worth the time to compile it.
#if defined(__AVX2__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MOE_GATING_INLINE [[gnu::always_inline]] inline
#define MOE_GATING_FLATTEN [[gnu::flatten]]
#else
#define MOE_GATING_INLINE inline
#define MOE_GATING_FLATTEN
#endif

namespace moe_gating {
namespace {

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Integers in the order of the floats: -0.0 is 0.0, and NaN comes before all. No key is the least integer, so that one
// less is still in order.
constexpr int32_t lowest_key = INT32_MIN + 1;

inline int32_t key_of(float value) {
  const auto bits = static_cast<int32_t>(bits_of(value + 0.0f));
  const int32_t ordered = bits < 0 ? bits ^ 0x7fffffff : bits;
  return value != value ? lowest_key : ordered;
}

inline float value_of(int32_t key) { return float_of(static_cast<uint32_t>(key < 0 ? key ^ 0x7fffffff : key)); }

struct Float32 {
  using Storage = float;
  static float load(float value) { return value; }
  static float store(float value) { return value; }
};

struct BFloat16 {
  using Storage = uint16_t;

  static float load(uint16_t half) { return float_of(uint32_t{half} << 16); }

  static uint16_t store(float value) {
    const uint32_t bits = bits_of(value);
    if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x0040);  // quiet, whatever the payload was
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

struct Float16 {
  using Storage = uint16_t;

  static float load(uint16_t half) {
    const uint32_t sign = (half & 0x8000u) << 16;
    const uint32_t magnitude = half & 0x7fffu;
    uint32_t bits = (magnitude << 13) + rebias;
    if (magnitude < 0x0400) bits = bits_of(static_cast<float>(magnitude) * 0x1p-24f);  // subnormal or zero
    if (magnitude >= 0x7c00) bits = 0x7f800000u | (magnitude << 13);                   // infinity or NaN
    return float_of(sign | bits);
  }

  static uint16_t store(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00;  // NaN
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00;  // 65520 and more: infinity
    } else if (magnitude >= 0x38800000u) {
      half = (magnitude - rebias + 0x0fff + ((magnitude >> 13) & 1)) >> 13;
    } else {
      // Below 2^-14. The last bit of a float32 in [0.5, 1) is worth 2^-24, as that of a subnormal half is:
      // the addition does the rounding.
      half = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    }
    return static_cast<uint16_t>(sign | half);
  }

 private:
  static constexpr uint32_t rebias = (127u - 15u) << 23;
};

}  // namespace
}  // namespace moe_gating
