// Sorting by columns: a vector holds the same number of several rows, and all of these rows are sorted at once. What is
// compared never depends on the numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "scores.h"

namespace moe_gating {
namespace {

constexpr int64_t run = 16;  // so many vectors are sorted in registers

// Batcher's odd-even merge sort of a power of two: the pairs that are put in order, one after the other.
template <int count>
struct Network {
  int pairs = 0, first[count * count / 2] = {}, second[count * count / 2] = {};

  constexpr Network() {
    for (int p = 1; p < count; p *= 2)
      for (int k = p; k >= 1; k /= 2)
        for (int j = k % p; j + k < count; j += 2 * k)
          for (int i = j; i < std::min(j + k, count - k); ++i)
            if (i / (2 * p) == (i + k) / (2 * p)) first[pairs] = i, second[pairs++] = i + k;
  }
};
template <int count>
constexpr Network<count> network;

// The greater numbers come first. No float may be NaN.
template <class V>
void exchange(V &a, V &b) {
  const V greater = Vector::max(a, b);
  b = Vector::min(a, b);
  a = greater;
}

template <class V, size_t count, size_t... pair>
void sort_run(V (&numbers)[count], std::index_sequence<pair...>) {
  (exchange(numbers[network<count>.first[pair]], numbers[network<count>.second[pair]]), ...);
}

template <class V, size_t count>
void sort_run(V (&numbers)[count]) {
  sort_run(numbers, std::make_index_sequence<network<count>.pairs>());
}

// Halves, halves of halves, and so on: the last steps of a merge.
template <class V, size_t count>
void merge_run(V (&numbers)[count]) {
  for (size_t distance = count / 2; distance >= 1; distance /= 2)
    for (size_t i = 0; i < count; ++i)
      if ((i & distance) == 0) exchange(numbers[i], numbers[i + distance]);
}

// Vectors of numbers, one behind the other.
template <class Number>
class Sortable {
  using V = decltype(Vector::load(static_cast<const Number *>(nullptr)));

 public:
  Sortable(Number *numbers, int64_t count) : numbers_(numbers), count_(count) {}

  // The count is a whole number of runs. Where the second half of a merge is not whole, what lacks would be less than all, and
  // is passed over.
  void sort() { sort_parts(count_); }

  // The k-th: of the last merge, no more than the steps that lead to it. The others are in no order then.
  V kth(int64_t k) {
    int64_t sorted = run;
    while (2 * sorted < count_) sorted *= 2;
    sort_parts(sorted);
    if (k > sorted) merge(sorted);
    if (k > sorted || count_ == run) return load(k - 1);
    for (int64_t i = 2 * sorted - count_; i < sorted; ++i) store(i, Vector::max(load(i), load(2 * sorted - 1 - i)));
    for (int64_t half = sorted / 2; half >= 1; half /= 2) {
      const bool above = k <= half;
      for (int64_t i = 0; i < half; ++i) {
        const V a = load(i), b = load(i + half);
        store(i, above ? Vector::max(a, b) : Vector::min(a, b));
      }
      k -= above ? 0 : half;
    }
    return load(0);
  }

 private:
  // Puts the numbers in order within parts of this length.
  void sort_parts(int64_t length) {
    for (int64_t i = 0; i < count_; i += run) in_registers<run>(i, 1, [](V(&of)[run]) { sort_run(of); });
    for (int64_t sorted = run; sorted < length; sorted *= 2) merge(sorted);
  }

  // Pairs of parts of this length.
  void merge(int64_t sorted) {
    for (int64_t begin = 0; begin + sorted < count_; begin += 2 * sorted) join(begin, sorted);
    int64_t distance = sorted / 4;
    for (; distance >= run; distance /= 4) halve_twice(distance);
    if (distance == 8)
      for (int64_t i = 0; i < count_; i += 16) in_registers<16>(i, 1, [](V(&of)[16]) { merge_run(of); });
    else
      for (int64_t i = 0; i < count_; i += 8) in_registers<8>(i, 1, [](V(&of)[8]) { merge_run(of); });
  }

  // The first step of a merge, in which the second half is read backwards, and the second step.
  void join(int64_t begin, int64_t sorted) {
    const int64_t half = sorted / 2;
    for (int64_t i = begin; i < begin + half; ++i) {
      const int64_t last = 2 * begin + 2 * sorted - 1 - i;
      if (last < count_) {
        V a = load(i), b = load(i + half), c = load(last - half), d = load(last);
        exchange(a, d), exchange(b, c);
        exchange(a, b), exchange(c, d);
        store(i, a), store(i + half, b), store(last - half, c), store(last, d);
      } else {
        exchange_at(i + half, last - half);
        exchange_at(i, i + half);
      }
    }
  }

  // Two steps: at a distance, and at half of it.
  void halve_twice(int64_t distance) {
    const int64_t half = distance / 2;
    for (int64_t begin = 0; begin < count_; begin += 2 * distance)
      for (int64_t i = begin; i < std::min(begin + half, count_); ++i) {
        if (i + 3 * half < count_) {
          in_registers<4>(i, half, [](V(&of)[4]) { merge_run(of); });
        } else {
          exchange_at(i, i + 2 * half);
          exchange_at(i, i + half);
        }
      }
  }

  template <int64_t vectors, class Step>
  MOE_GATING_INLINE void in_registers(int64_t first, int64_t distance, Step step) {
    V of[vectors];
    for (int64_t i = 0; i < vectors; ++i) of[i] = load(first + i * distance);
    step(of);
    for (int64_t i = 0; i < vectors; ++i) store(first + i * distance, of[i]);
  }

  void exchange_at(int64_t first, int64_t second) {
    if (second >= count_) return;
    V a = load(first), b = load(second);
    exchange(a, b);
    store(first, a), store(second, b);
  }

  static constexpr int64_t size = sizeof(V) / sizeof(Number);
  V load(int64_t i) const { return Vector::load(numbers_ + i * size); }
  void store(int64_t i, V vector) { Vector::store(numbers_ + i * size, vector); }

  Number *numbers_;
  int64_t count_;
};

}  // namespace
}  // namespace moe_gating
