// Sixteen numbers of each row, seen by columns: a vector holds the same number of several rows, and what is done to it is
// done to all of these rows at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "scores.h"

namespace moe_gating {
namespace {

constexpr int64_t rows_per_block = lanes;

// A square of a block's rows and of 16 numbers.
template <class Number>
using Square = Number[rows_per_block][lanes];

// The columns of `width` rows, from row `first`.
struct Columns {
  F of[lanes];

  template <class Number>
  static Columns load(const Number *from, int64_t stride) {
    Columns columns;
    for (int64_t part = 0; part < parts; ++part) {
      F tile[width];
      for (int64_t row = 0; row < width; ++row) tile[row] = load_number(from + row * stride + part * width);
      Vector::transpose(tile);
      for (int64_t lane = 0; lane < width; ++lane) columns.of[part * width + lane] = tile[lane];
    }
    return columns;
  }

  template <class Number>
  void store(Number *to, int64_t stride) const {
    for (int64_t part = 0; part < parts; ++part) {
      F tile[width];
      for (int64_t lane = 0; lane < width; ++lane) tile[lane] = of[part * width + lane];
      Vector::transpose(tile);
      for (int64_t row = 0; row < width; ++row) store_number(to + row * stride + part * width, tile[row]);
    }
  }

 private:
  static F load_number(const float *from) { return Vector::load(from); }
  static F load_number(const int32_t *from) { return Vector::floats(Vector::load(from)); }
  static void store_number(float *to, F number) { Vector::store(to, number); }
  static void store_number(int32_t *to, F number) { Vector::store(to, Vector::bits(number)); }
};

// Writes the columns of `width` rows, of `count` numbers, rounded up to whole squares, one behind the other.
inline void to_columns(const float *rows, int64_t stride, int64_t count, float *to) {
  for (int64_t first = 0; first < count; first += lanes) {
    const Columns columns = Columns::load(rows + first, stride);
    for (int64_t i = 0; i < lanes; ++i) Vector::store(to + (first + i) * width, columns.of[i]);
  }
}

}  // namespace
}  // namespace moe_gating
