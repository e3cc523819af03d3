// A block of rows, and what the steps know of it: each runs through the rows before the next begins, so that the processor
// works on several rows at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "candidates.h"
#include "memory.h"
#include "moe_gating_top_k.h"
#include "scratch.h"

namespace moe_gating {
namespace {

struct Block {
  const moe_gating_top_k_args &args;
  Scratch &scratch;
  int64_t first, rows, last;  // in x; the last row of all that are to be done
  int64_t stride = stride_of(args.experts);
  bool undivided = false;  // scores are exponentials, which a reciprocal divides where it matters
  bool bounded = false;    // bounds are there already

  float *scores(int64_t row) const { return scratch.scores + row * stride; }
  float reciprocal(int64_t row) const { return undivided ? scratch.reciprocals[row] : 1.0f; }

  // Copies the rows of x, of which this is the first, to where experts are neighbours; `stride` numbers to a row.
  template <class Number>
  const Number *gather_x(const Number *x) const {
    auto *const gathered = reinterpret_cast<Number *>(scratch.gathered);
    const int64_t next = std::min(rows, last - first - rows) * args.x_row_stride;
    gather(x, args.x_row_stride, args.x_column_stride, next, rows, args.experts, gathered, stride);
    return gathered;
  }

  bool drops_groups() const { return args.k_group < args.group_count; }
  int64_t group_size() const { return args.experts / args.group_count; }
  // How many values decide in a row.
  int64_t choices() const { return drops_groups() ? args.k_group * group_size() : args.experts; }

  void fetch_weights(int64_t row) const {
    for (int64_t i = 0; i < args.k; ++i)
      scratch.weights[row][i] = scores(row)[scratch.chosen[row][i]] * reciprocal(row);
  }
};

}  // namespace
}  // namespace moe_gating
