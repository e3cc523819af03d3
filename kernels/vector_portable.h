// Four floats for any processor, in plain C++ that compilers vectorize well enough.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "bits.h"
#include "half.h"

namespace moe_gating {
namespace {

template <class Element>
struct Four {
  Element lane[4];
};

struct Two {
  double lane[2];
};

struct Vector {
  using F = Four<float>;
  using I = Four<int32_t>;
  using D = Two;
  static constexpr int64_t width = 4;
  static constexpr int table_bits = 0;

  static F set(float value) { return {{value, value, value, value}}; }
  template <class Type>
  static F load(Type, const typename Type::Storage *from) {
    return each([&](int i) { return Type::load(from[i]); });
  }
  template <class Type>
  static F load_part(Type, const typename Type::Storage *from, int64_t count) {
    return each([&](int i) { return i < count ? Type::load(from[i]) : 0.0f; });
  }
  static F load(const float *from) { return load(Float32(), from); }
  static void store(float *to, F value) {
    for (int i = 0; i < 4; ++i) to[i] = value.lane[i];
  }
  template <class Type>
  static void store(Type, typename Type::Storage *to, F value) {
    for (int i = 0; i < 4; ++i) to[i] = Type::store(value.lane[i]);
  }

  static F add(F a, F b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static F sub(F a, F b) {
    return each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static F mul(F a, F b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static F div(F a, F b) {
    return each([&](int i) { return a.lane[i] / b.lane[i]; });
  }
  static F sqrt(F a) {
    return each([&](int i) { return std::sqrt(a.lane[i]); });
  }
  static F fma(F a, F b, F c) { return add(mul(a, b), c); }
  // The second operand where one is NaN, as on x86.
  static F max(F a, F b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F min(F a, F b) {
    return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F head(F value, int64_t count, F rest) {
    return each([&](int i) { return i < count ? value.lane[i] : rest.lane[i]; });
  }

  template <int level>
  static void interleave(F a, F b, F &first, F &second) {
    first = {{a.lane[0], b.lane[0], a.lane[1], b.lane[1]}};
    second = {{a.lane[2], b.lane[2], a.lane[3], b.lane[3]}};
  }

  // Takes the rows of a square to its columns.
  static void transpose(F (&square)[width]) {
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < i; ++j) std::swap(square[i].lane[j], square[j].lane[i]);
  }

  static float total(F value) { return (value.lane[0] + value.lane[1]) + (value.lane[2] + value.lane[3]); }

  // Sums in double: one large value among many small ones costs a float sum more than 10 ulp.
  struct Sum {
    double lanes[4] = {};
    void add(F value) {
      for (int i = 0; i < 4; ++i) lanes[i] += value.lane[i];
    }
    double total() const { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }
  };

  static D load(const double *from) { return {{from[0], from[1]}}; }
  static void store(double *to, D value) { to[0] = value.lane[0], to[1] = value.lane[1]; }
  static D max(D a, D b) { return {{std::max(a.lane[0], b.lane[0]), std::max(a.lane[1], b.lane[1])}}; }
  static D min(D a, D b) { return {{std::min(a.lane[0], b.lane[0]), std::min(a.lane[1], b.lane[1])}}; }

  static I set(int32_t value) { return {{value, value, value, value}}; }
  static I load(const int32_t *from) { return {{from[0], from[1], from[2], from[3]}}; }
  static void store(int32_t *to, I value) {
    for (int i = 0; i < 4; ++i) to[i] = value.lane[i];
  }
  static I bits(F value) {
    return each_int([&](int i) { return static_cast<int32_t>(bits_of(value.lane[i])); });
  }
  static F floats(I bits) {
    return each([&](int i) { return float_of(static_cast<uint32_t>(bits.lane[i])); });
  }
  static I add(I a, I b) {  // wraps around
    return each_int([&](int i) { return wrapped(uint32_t(a.lane[i]) + uint32_t(b.lane[i])); });
  }
  static I sub(I a, I b) {
    return each_int([&](int i) { return wrapped(uint32_t(a.lane[i]) - uint32_t(b.lane[i])); });
  }
  static I max(I a, I b) {
    return each_int([&](int i) { return std::max(a.lane[i], b.lane[i]); });
  }
  static I min(I a, I b) {
    return each_int([&](int i) { return std::min(a.lane[i], b.lane[i]); });
  }
  static int32_t total(I value) { return value.lane[0] + value.lane[1] + value.lane[2] + value.lane[3]; }
  static I both(I a, I b) {
    return each_int([&](int i) { return a.lane[i] & b.lane[i]; });
  }
  template <int bits>
  static I scaled(I a, int32_t factor) {
    return each_int([&](int i) { return a.lane[i] * factor >> bits; });
  }
  static I shift_to_exponent(I value) {
    return each_int([&](int i) { return wrapped(uint32_t(value.lane[i]) << 23); });
  }
  static I entry(const int32_t *table, I) { return set(table[0]); }
  static I key(F value) {
    return each_int([&](int i) { return key_of(value.lane[i]); });
  }
  static I count_greater(I counts, I a, I b) {
    return each_int([&](int i) { return counts.lane[i] + (a.lane[i] > b.lane[i]); });
  }
  static I count_greater(I counts, F a, F b) {
    return each_int([&](int i) { return counts.lane[i] + (a.lane[i] > b.lane[i]); });
  }
  static I count_not_less(I counts, I a, I b) {
    return each_int([&](int i) { return counts.lane[i] + (a.lane[i] >= b.lane[i]); });
  }
  static I add_where_less(I sums, I counts, int32_t limit, int32_t value) {
    return each_int([&](int i) { return sums.lane[i] + (counts.lane[i] < limit ? value : 0); });
  }
  static F where_less(I counts, int32_t limit, F value, F rest) {
    return each([&](int i) { return counts.lane[i] < limit ? value.lane[i] : rest.lane[i]; });
  }

  // A bit for each lane.
  static uint64_t at_least(F a, F b) {
    return bits_of_lanes([&](int i) { return a.lane[i] >= b.lane[i]; });
  }
  static uint64_t greater(F a, F b) {
    return bits_of_lanes([&](int i) { return a.lane[i] > b.lane[i]; });
  }
  static uint64_t equal(F a, F b) {
    return bits_of_lanes([&](int i) { return a.lane[i] == b.lane[i]; });
  }
  static void unpack(uint64_t bits, int64_t count, int32_t base, int32_t *to) { unpack_bits(bits, count, base, to); }
  static F gather(const float *from, I indices) {
    return each([&](int i) { return from[indices.lane[i]]; });
  }

  // Of a table of 16: the entries that the low four bits of the indices name.
  static I pick(const int32_t *table, I indices) {
    return each_int([&](int i) { return table[indices.lane[i] & 15]; });
  }
  static F pick(const float *table, I indices) {
    return each([&](int i) { return table[indices.lane[i] & 15]; });
  }
  static bool any_less(F a, F b) { return at_least(a, b) != 15; }  // or NaN

  template <bool strictly>
  static int64_t append(int32_t *indices, float *values, int32_t index, F value, F bound) {
    int64_t count = 0;
    for (int32_t i = 0; i < 4; ++i) {
      indices[count] = index + i;
      values[count] = value.lane[i];
      count += strictly ? value.lane[i] > bound.lane[i] : value.lane[i] >= bound.lane[i];
    }
    return count;
  }

 private:
  template <class Condition>
  static uint64_t bits_of_lanes(Condition of_lane) {
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) bits |= uint64_t{of_lane(i)} << i;
    return bits;
  }
  static int32_t wrapped(uint32_t value) { return static_cast<int32_t>(value); }
  template <class Function>
  static F each(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
  }
  template <class Function>
  static I each_int(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
  }
};

}  // namespace
}  // namespace moe_gating
