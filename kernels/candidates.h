// What decides in a row, and which of these values reach a bound: the beginning of step 4.
#pragma once

#include <algorithm>
#include <cstdint>

#include "moe_gating_top_k.h"
#include "scores.h"

namespace moe_gating {
namespace {

constexpr int64_t usual = 16;  // candidates that most rows have at most: they are ordered without a branch
constexpr int64_t slack = 16;  // a store may write this much behind what counts

// What decides: the scores, or their sums with the bias. gather() is told the scores of the experts there if there is a bias.
struct Plain {
  const float *values;
  F operator()(int64_t i) const { return Vector::load(values + i); }
  float at(int64_t i) const { return values[i]; }
  F gather(I places, F) const { return Vector::gather(values, places); }
};
struct Product {
  const float *values;
  float factor;
  F operator()(int64_t i) const { return Vector::mul(Vector::load(values + i), Vector::set(factor)); }
  float at(int64_t i) const { return values[i] * factor; }
  F gather(I places, F) const { return Vector::mul(Vector::gather(values, places), Vector::set(factor)); }
};
struct Biased {
  const float *values, *bias;
  F operator()(int64_t i) const { return Vector::add(Vector::load(values + i), Vector::load(bias + i)); }
  float at(int64_t i) const { return values[i] + bias[i]; }
  F gather(I places, F scores) const { return Vector::add(scores, Vector::gather(bias, places)); }
};

// Calls step(part, i, vector) for `count` values; -inf fills the last vector up. There is slack behind values.
template <class Values, class Step>
MOE_GATING_INLINE void for_each(Values values, int64_t count, Step step) {
  walk(count, [&](int64_t part, int64_t i, auto size) { step(part, i, size.head(values(i), Vector::set(-infinity))); });
}

template <class Values>
MOE_GATING_INLINE void lane_maxima(Values values, int64_t count, float *maxima) {
  Maxima largest;
  for_each(values, count, [&](int64_t part, int64_t, F value) { largest.see(part, value); });
  largest.store(maxima);
}

// Places among what decides, ascending, and the values there; a store may go beyond what counts.
struct Candidates {
  int32_t *places;
  float *values;
  int64_t count;
};

template <bool strictly, class Values>
MOE_GATING_INLINE void append(Values values, int64_t of, float bound, Candidates &to) {
  const F least = Vector::set(bound);
  int32_t *places = to.places;
  float *kept = to.values;
  int64_t count = 0;
  for_each(values, of, [&](int64_t, int64_t i, F value) {
    count += Vector::append<strictly>(places + count, kept + count, static_cast<int32_t>(i), value, least);
  });
  to.count = count;
}

// Writes the places of the values for which compare() has bits, ascending, behind the `count` that are there, as long as there
// are fewer than `most`. Returns how many there would be; more than `most` if there are more than `usual` close together and
// it lacks some of these. There is room for `usual` more than `most`.
template <int64_t most = usual, class Values, class Compare>
MOE_GATING_INLINE int64_t collect(Values values, int64_t of, Compare compare, int32_t *places, int64_t count) {
  for (int64_t begin = 0; begin < of; begin += 64) {
    const int64_t left = std::min<int64_t>(of - begin, 64);
    uint64_t bits = 0;
    if (left == 64) {
      for (int64_t i = 0; i < 64; i += width) bits |= compare(values(begin + i)) << i;
    } else {
      for (int64_t i = 0; i < left; i += width) bits |= compare(values(begin + i)) << i;
      bits &= (uint64_t{1} << left) - 1;
    }
    Vector::unpack(bits, left, static_cast<int32_t>(begin), places + std::min(count, most));
    const int64_t found = __builtin_popcountll(bits);
    count += most > usual && found > usual ? most + 1 : found;
  }
  return count;
}

// append() of what reaches the bound where that is few of many: less work, as only these are moved. False if they lie too close.
template <class Values>
MOE_GATING_INLINE bool append_few(Values values, int64_t of, float bound, Candidates &to) {
  constexpr int64_t most = MOE_GATING_MAX_EXPERTS;
  const auto reaches = [&](F value) { return Vector::at_least(value, Vector::set(bound)); };
  to.count = collect<most>(values, of, reaches, to.places, 0);
  if (to.count > most) return false;
  for (int64_t i = 0; i < to.count; ++i) to.values[i] = values.at(to.places[i]);
  return true;
}

// Appends the places of values that equal `bound`, ascending, until there are k.
template <class Values>
void append_equal(Values values, int64_t of, float bound, int64_t k, Candidates &to) {
  for_each(values, of, [&](int64_t, int64_t i, F value) {
    for (uint64_t bits = Vector::equal(value, Vector::set(bound)); bits != 0 && to.count < k; bits &= bits - 1) {
      to.places[to.count] = static_cast<int32_t>(i + __builtin_ctzll(bits));
      to.values[to.count++] = bound;
    }
  });
}

}  // namespace
}  // namespace moe_gating
