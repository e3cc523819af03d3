// Every vector version of the CPU kernel against the definition, written plainly and in double: for the sanitizers, and
// for processors that only an emulator has here. Ends with 0 when all results were right.
#include "definition.h"

namespace {

using namespace definition;  // NOLINT: what is compared with

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
