// Every vector version of the CPU kernel against the definition, written plainly and in double: for the sanitizers, and
// for processors that only an emulator has here. Ends with 0 when all results were right.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "../../kernels/half.h"
#include "../../kernels/moe_gating_top_k.h"
#include "../../kernels/moe_gating_top_k_gradient.h"

namespace {

using moe_gating::BFloat16;
using moe_gating::Float16;
using moe_gating::Float32;
using Row = std::vector<double>;

#define DEMAND(condition, ...)                                             \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::fprintf(stderr, __VA_ARGS__);                                   \
      std::fprintf(stderr, "\n");                                          \
      std::exit(1);                                                        \
    }                                                                      \
  } while (false)

struct Shape {
  int64_t experts, group_count, k_group, mode, k;
};

Row normalize(Row x, int64_t norm_type) {
  if (norm_type == 1) {
    for (double &value : x) value = 1 / (1 + std::exp(-value));
    return x;
  }
  if (norm_type == 2) {
    for (double &value : x) value = std::sqrt(std::log1p(std::exp(value)));
    return x;
  }
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double &value : x) sum += value = std::exp(value - largest);
  for (double &value : x) value /= sum;
  return x;
}

std::vector<int64_t> descending(const Row &values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  return order;
}

std::vector<int64_t> choose(Row choice, const Shape &shape) {
  const int64_t size = shape.experts / shape.group_count;
  if (shape.k_group < shape.group_count && size > 1) {
    Row scores;
    for (int64_t group = 0; group < shape.group_count; ++group) {
      Row members(choice.begin() + group * size, choice.begin() + (group + 1) * size);
      std::sort(members.rbegin(), members.rend());
      scores.push_back(shape.mode == 0 ? members[0] : members[0] + members[1]);
    }
    const auto groups = descending(scores);
    for (int64_t i = shape.k_group; i < shape.group_count; ++i)
      std::fill_n(choice.begin() + groups[static_cast<size_t>(i)] * size, size, -INFINITY);
  }
  return descending(choice);
}

// The derivative of a score that depends on its logit x alone.
double slope(double x, double score, int64_t norm_type) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  return norm_type == 1 ? score * (1 - score) : sigmoid / (2 * score);
}

// The gradient of what a call has computed, with and without one of the scores.
template <class Type>
void run_gradient(const moe_gating_top_k_args &of, std::mt19937 &random) {
  using Storage = typename Type::Storage;
  const auto experts = static_cast<size_t>(of.experts), k = static_cast<size_t>(of.k);
  const auto tokens = static_cast<size_t>(of.tokens);
  std::vector<Storage> grad_y(tokens * k), grad_x(tokens * experts);
  std::vector<float> grad_norm_out(tokens * experts);
  const auto draw = [&random] { return static_cast<float>(random() % 2001) / 1000 - 1; };
  for (auto &value : grad_y) value = Type::store(draw());
  for (auto &value : grad_norm_out) value = draw();
  for (const bool with_scores : {false, true}) {
    moe_gating_top_k_gradient_args args{};
    args.x = of.x, args.x_row_stride = of.x_row_stride, args.x_column_stride = of.x_column_stride;
    args.expert_idx = of.expert_idx, args.grad_y = grad_y.data(), args.grad_x = grad_x.data();
    args.grad_norm_out = with_scores ? grad_norm_out.data() : nullptr;
    args.tokens = of.tokens, args.experts = of.experts, args.k = of.k, args.dtype = of.dtype;
    args.renorm = of.renorm, args.norm_type = of.norm_type;
    args.routed_scaling_factor = of.routed_scaling_factor, args.eps = of.eps;
    const int code = moe_gating_top_k_gradient(&args, 2);
    DEMAND(code == 0, "%s", moe_gating_top_k_error(code));
    for (size_t token = 0; token < tokens; ++token) {
      Row logits, of_scores(experts), of_chosen(k);
      for (size_t i = 0; i < experts; ++i)
        logits.push_back(Type::load(static_cast<const Storage *>(of.x)[token * experts + i]));
      const Row scores = normalize(logits, of.norm_type);
      double sum = 0, product = 0;
      const auto chosen = [&](size_t i) { return static_cast<size_t>(of.expert_idx[token * k + i]); };
      for (size_t i = 0; i < k; ++i) {
        of_chosen[i] = Type::load(grad_y[token * k + i]) * of.routed_scaling_factor;
        sum += scores[chosen(i)], product += scores[chosen(i)] * of_chosen[i];
      }
      const bool divided = of.norm_type != 0 || of.renorm != 0;
      for (size_t i = 0; i < experts && with_scores; ++i) of_scores[i] = grad_norm_out[token * experts + i];
      for (size_t i = 0; i < k; ++i)
        of_scores[chosen(i)] += divided ? (of_chosen[i] - product / sum) / sum : of_chosen[i];
      double mean = 0, largest = 0;
      for (size_t i = 0; i < experts && of.norm_type == 0; ++i) mean += scores[i] * of_scores[i];
      Row wanted;
      for (size_t i = 0; i < experts; ++i) {
        const double each = of.norm_type == 0 ? scores[i] : slope(logits[i], scores[i], of.norm_type);
        wanted.push_back(each * (of_scores[i] - mean));
        largest = std::max(largest, std::abs(wanted.back()));
      }
      const double step = sizeof(Storage) == 4 ? 2e-6 : std::is_same<Type, Float16>::value ? 6e-4 : 5e-3;
      for (size_t i = 0; i < experts; ++i) {
        const double got = Type::load(grad_x[token * experts + i]);
        DEMAND(std::abs(got - wanted[i]) <= step * largest + 6e-8, "E %d k %d: gradient %g for %g", int(experts),
               int(k), got, wanted[i]);
      }
    }
  }
}

// Logits and biases that are equal, or lie so far apart that no rounding changes the order of their scores.
template <class Type>
void run(const Shape &shape, int64_t norm_type, int64_t renorm, bool with_bias, int64_t levels, int64_t tokens,
         std::mt19937 &random) {
  using Storage = typename Type::Storage;
  const auto experts = static_cast<size_t>(shape.experts), k = static_cast<size_t>(shape.k);
  std::vector<Storage> x, bias;
  std::vector<float> steps(experts);
  for (int64_t i = 0; i < shape.experts; ++i)
    steps[static_cast<size_t>(i)] =
        -2.0f + 4.0f * static_cast<float>(i * levels / shape.experts) / static_cast<float>(levels);
  for (int64_t token = 0; token < tokens; ++token) {
    std::shuffle(steps.begin(), steps.end(), random);
    for (const float step : steps) x.push_back(Type::store(step));
  }
  std::shuffle(steps.begin(), steps.end(), random);
  for (size_t i = 0; i < experts; ++i) bias.push_back(Type::store(with_bias ? steps[i] * 3 : 0.0f));
  // Right behind these lies what a sanitizer guards.
  std::vector<Storage> y(static_cast<size_t>(tokens) * k);
  std::vector<int32_t> expert_idx(y.size());
  std::vector<float> norm_out(x.size());
  moe_gating_top_k_args args{};
  args.x = x.data(), args.x_row_stride = shape.experts, args.x_column_stride = 1;
  args.bias = with_bias ? bias.data() : nullptr, args.bias_stride = 1;
  args.tokens = tokens, args.experts = shape.experts, args.k = shape.k, args.k_group = shape.k_group;
  args.group_count = shape.group_count, args.group_select_mode = shape.mode, args.norm_type = norm_type;
  args.renorm = renorm;
  args.routed_scaling_factor = 2.5f, args.eps = 1e-20f;
  args.dtype = sizeof(Storage) == 4                 ? MOE_GATING_FLOAT32
               : std::is_same<Type, Float16>::value ? MOE_GATING_FLOAT16
                                                    : MOE_GATING_BFLOAT16;
  args.y = y.data(), args.expert_idx = expert_idx.data(), args.norm_out = norm_out.data();
  const int code = moe_gating_top_k(&args, 2);
  DEMAND(code == 0, "%s", moe_gating_top_k_error(code));

  for (int64_t token = 0; token < tokens; ++token) {
    Row logits, choice;
    for (size_t i = 0; i < experts; ++i) logits.push_back(Type::load(x[static_cast<size_t>(token) * experts + i]));
    const Row scores = normalize(logits, norm_type);
    for (size_t i = 0; i < experts; ++i) choice.push_back(scores[i] + Type::load(bias[i]));
    const auto chosen = choose(choice, shape);
    const bool divided = norm_type != 0 || renorm != 0;
    double sum = divided ? 0 : 1;
    for (size_t i = 0; i < k && divided; ++i) sum += scores[static_cast<size_t>(chosen[i])];
    for (size_t i = 0; i < k; ++i) {
      const size_t at = static_cast<size_t>(token) * k + i;
      const auto expert = static_cast<size_t>(expert_idx[at]);
      const double apart = std::abs(choice[expert] - choice[static_cast<size_t>(chosen[i])]);
      DEMAND(expert_idx[at] == chosen[i] || (apart > 0 && apart < 1e-6), "E %d k %d: expert %d for %d", int(experts),
             int(k), expert_idx[at], int(chosen[i]));
      const double weight = scores[expert] / sum * 2.5, got = Type::load(y[at]);
      const double step = sizeof(Storage) == 4 ? 1e-6 : std::is_same<Type, Float16>::value ? 6e-4 : 5e-3;
      DEMAND(std::abs(got - weight) <= step * weight + 6e-8, "E %d k %d: weight %g for %g", int(experts), int(k), got,
             weight);
    }
    for (size_t i = 0; i < experts; ++i) {
      const double got = norm_out[static_cast<size_t>(token) * experts + i];
      DEMAND(std::abs(got - scores[i]) <= 5e-7 * scores[i], "E %d: score %g for %g", int(experts), got, scores[i]);
    }
  }
  run_gradient<Type>(args, random);
}

// Hash routing: the experts of the table, any integers and strides, and a refusal of what is outside.
template <class Id, class Expert>
void run_routed(int64_t norm_type, std::mt19937 &random) {
  constexpr int64_t tokens = 19, experts = 96, k = 5, vocabulary = 7;
  std::vector<float> x(tokens * experts), y(tokens * k), norm_out(x.size());
  std::vector<int32_t> expert_idx(y.size());
  std::vector<Id> ids(2 * tokens);
  std::vector<Expert> table(vocabulary * k);  // its columns lie apart
  for (float &value : x) value = static_cast<float>(random() % 1000) / 250 - 2;
  for (Id &id : ids) id = static_cast<Id>(random() % vocabulary);
  for (Expert &expert : table) expert = static_cast<Expert>(random() % experts);
  moe_gating_top_k_args args{};
  args.x = x.data(), args.x_row_stride = experts, args.x_column_stride = 1;
  args.tokens = tokens, args.experts = experts, args.k = k, args.k_group = args.group_count = 1;
  args.norm_type = norm_type, args.routed_scaling_factor = 2.5f, args.eps = 1e-20f;
  args.y = y.data(), args.expert_idx = expert_idx.data(), args.norm_out = norm_out.data();
  args.input_ids = ids.data(), args.input_ids_stride = 2, args.input_ids_int64 = sizeof(Id) == 8;
  args.tid2eid = table.data(), args.tid2eid_row_stride = 1, args.tid2eid_column_stride = vocabulary;
  args.vocabulary = vocabulary, args.tid2eid_int64 = sizeof(Expert) == 8;
  DEMAND(moe_gating_top_k(&args, 2) == 0, "routed");
  for (int64_t token = 0; token < tokens; ++token) {
    const float *scores = norm_out.data() + token * experts;
    double sum = norm_type == 0 ? 1 : 0;
    for (int64_t i = 0; i < k; ++i) {
      const auto expert = table[static_cast<size_t>(ids[static_cast<size_t>(2 * token)] + i * vocabulary)];
      DEMAND(expert_idx[static_cast<size_t>(token * k + i)] == expert, "token %d, expert %d", int(token), int(i));
      if (norm_type != 0) sum += scores[expert];
    }
    for (int64_t i = 0; i < k; ++i) {
      const auto at = static_cast<size_t>(token * k + i);
      const double weight = scores[expert_idx[at]] / sum * 2.5;
      DEMAND(std::abs(y[at] - weight) <= 1e-6 * weight, "weight %g for %g", y[at], weight);
    }
  }
  char text[100];
  ids[2 * 11] = -1;
  DEMAND(moe_gating_top_k(&args, 2) == MOE_GATING_BAD_INPUT_IDS, "an id below 0");
  ids[2 * 11] = vocabulary;
  DEMAND(moe_gating_top_k_rows(&args, 0, 11) == 0, "the rows before it");
  DEMAND(moe_gating_top_k_rows(&args, 5, 12) == MOE_GATING_BAD_INPUT_IDS, "an id behind the table");
  DEMAND(moe_gating_top_k_stray(&args, 0, tokens, text, sizeof text) == MOE_GATING_BAD_INPUT_IDS, "in words");
  DEMAND(std::strcmp(text, "input_ids must name one of the 7 rows of tid2eid, got 7 for token 11") == 0, "%s", text);
  ids[2 * 11] = 3, table[3 + 2 * vocabulary] = experts;
  DEMAND(moe_gating_top_k(&args, 1) == MOE_GATING_BAD_TID2EID, "an expert that does not exist");
  DEMAND(moe_gating_top_k_stray(&args, 0, tokens, text, sizeof text) == MOE_GATING_BAD_TID2EID, "in words");
  DEMAND(std::strcmp(text, "tid2eid must hold experts between 0 and 95, got 96 in row 3") == 0, "%s", text);
}

}  // namespace

int main() {
  std::printf("%s\n", moe_gating_top_k_vector());
  std::mt19937 random(1);
  const Shape shapes[] = {{256, 8, 4, 1, 8},   {384, 1, 1, 0, 8},     {160, 8, 3, 0, 6},   {128, 1, 1, 0, 8},
                          {1, 1, 1, 0, 1},     {3, 1, 1, 0, 3},       {72, 24, 5, 1, 6},   {192, 64, 20, 1, 8},
                          {100, 1, 1, 0, 17},  {127, 1, 1, 0, 64},    {60, 4, 2, 1, 4},    {2048, 1, 1, 0, 8},
                          {512, 1, 1, 0, 200}, {2048, 2, 1, 1, 1024}, {8, 1, 1, 0, 2},     {16, 2, 2, 1, 5},
                          {80, 40, 9, 0, 6},   {2, 1, 1, 0, 2},       {300, 300, 20, 1, 9}};
  for (const Shape &shape : shapes)
    for (int64_t norm_type = 0; norm_type < 3; ++norm_type)
      for (const bool with_bias : {false, true})
        for (const int64_t levels : {shape.experts, int64_t{5}}) {
          if (with_bias && levels != shape.experts) continue;  // sums that are equal but for rounding have no order
          for (const int64_t tokens : {1, 9, 40}) {
            const int64_t renorm = tokens == 9;
            run<Float32>(shape, norm_type, renorm, with_bias, levels, tokens, random);
            run<Float16>(shape, norm_type, renorm, with_bias, levels, tokens, random);
            run<BFloat16>(shape, norm_type, renorm, with_bias, levels, tokens, random);
          }
        }
  for (int64_t norm_type = 0; norm_type < 3; ++norm_type) {
    run_routed<int32_t, int32_t>(norm_type, random);
    run_routed<int32_t, int64_t>(norm_type, random);
    run_routed<int64_t, int32_t>(norm_type, random);
    run_routed<int64_t, int64_t>(norm_type, random);
  }
  return 0;
}
