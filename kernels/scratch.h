// The memory of a block of rows, on the stack of the thread that uses it; a call touches little more of it than it needs.
#pragma once

#include <cstdint>

#include "candidates.h"
#include "columns.h"
#include "moe_gating_top_k.h"

namespace moe_gating {
namespace {

// 64 kB of scores.
constexpr int64_t experts_per_block = 8 * MOE_GATING_MAX_EXPERTS;

// From one row of scratch to the next: a whole number of vectors of any width.
inline int64_t stride_of(int64_t experts) { return (experts + slack - 1) / slack * slack; }

// For each group that a row keeps, ascending: how much further its experts are than their places among those that are kept.
using Offsets = int32_t[MOE_GATING_MAX_GROUPS];

constexpr int64_t candidates_of_row = 3 * usual;

// Of rows that choose many.
constexpr int64_t most_lanes = 128;

struct Scratch {
  alignas(64) float bias[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) unsigned char gathered[sizeof(float) * (experts_per_block + slack)];  // x, if it has to be
  alignas(64) float scores[experts_per_block + slack];
  alignas(64) float packed[experts_per_block + slack];  // what decides, where groups are dropped
  alignas(64) Square<float> maxima;                     // of the lanes of each row
  // A number for each row.
  alignas(64) float row_maxima[rows_per_block];
  alignas(64) float bounds[rows_per_block];
  alignas(64) float reciprocals[rows_per_block];
  int64_t candidate_counts[rows_per_block];
  bool unusual[rows_per_block];
  alignas(64) float wide[rows_per_block][most_lanes];  // scores of groups, or maxima of lanes
  alignas(64) Offsets offsets[rows_per_block];
  // Candidates: their places among what decides. What a row does not fill are still such places.
  alignas(64) int32_t candidates[rows_per_block][candidates_of_row];
  alignas(64) Square<int32_t> candidate_experts;  // where they are not the same
  alignas(64) Square<float> candidate_scores;
  alignas(64) Square<float> candidate_values;
  alignas(64) Square<int32_t> order;
  alignas(64) float ordered[rows_per_block][lanes + slack];
  // Of rows that choose many: bounds, columns, and of one of them what may be chosen.
  alignas(64) float wide_bounds[rows_per_block];
  union {
    alignas(64) double doubles[(MOE_GATING_MAX_EXPERTS + slack) * (width / 2)];
    alignas(64) float floats[(MOE_GATING_MAX_EXPERTS + slack) * width];
  } columns;
  alignas(64) int32_t places[MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float values[MOE_GATING_MAX_EXPERTS + slack];
  // Results.
  alignas(64) int32_t chosen[rows_per_block][MOE_GATING_MAX_EXPERTS + slack];
  alignas(64) float weights[rows_per_block][MOE_GATING_MAX_EXPERTS + slack];
};

}  // namespace
}  // namespace moe_gating
