// A call of the kernel's C interface that is made of a fuzzer's bytes, compared with the definition. Around each buffer
// lies what a sanitizer guards. Rows in which something is NaN have sound experts, and no more is promised of them.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "../kernels/definition.h"

namespace fuzz {

using namespace definition;  // NOLINT: what is compared with

// Numbers out of the fuzzer's bytes; without any left they are 0.
class Bytes {
 public:
  Bytes(const uint8_t *data, size_t size) : data_(data), left_(size) {}
  uint32_t Next(int bytes) {
    uint32_t value = 0;
    for (; bytes > 0; --bytes, value = value << 8 | (left_ > 0 ? (--left_, *data_++) : 0u)) {
    }
    return value;
  }
  int64_t Between(int64_t least, int64_t most) { return least + Next(most - least < 256 ? 1 : 2) % (most - least + 1); }
  template <class Value, size_t count>
  Value Of(const Value (&values)[count]) {
    return values[Next(1) % count];
  }

 private:
  const uint8_t *data_;
  size_t left_;
};

inline float Logit(Bytes &bytes, uint32_t kind) {
  constexpr float kOdd[] = {0.0f,   -0.0f, 1e-40f, -1e-40f, INFINITY, -INFINITY, NAN,   3e38f,
                            -3e38f, 88.0f, -88.0f, -103.5f, 1.0f,     -1.0f,     80.0f, -170.0f};
  if (kind == 0) return static_cast<float>(static_cast<int8_t>(bytes.Next(1))) / 16;
  if (kind == 1) return kOdd[bytes.Next(1) % 16];
  const uint32_t bits = bytes.Next(4);
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// [rows, columns] of some layout: `first` is element [0, 0], around which there is just as much as the strides reach.
template <class Storage>
struct Matrix {
  Matrix(Bytes &bytes, int64_t rows, int64_t columns) {
    constexpr int64_t kSteps[] = {1, 1, 1, 2, -1, -2, 0};
    column_stride = bytes.Of(kSteps);
    row_stride =
        bytes.Of({columns, columns, columns + 3, -columns, int64_t{0}}) * std::max<int64_t>(1, std::abs(column_stride));
    if (bytes.Next(1) % 8 == 0) row_stride = 1, column_stride = rows;
    int64_t least = 0, most = 0;
    for (const auto reach : {(rows - 1) * row_stride, (columns - 1) * column_stride}) {
      if (rows > 0) (reach < 0 ? least : most) += reach;
    }
    values.reset(new Storage[static_cast<size_t>(most - least + 1)]);
    size = most - least + 1;
    first = values.get() - least;
  }
  Storage &at(int64_t row, int64_t column) { return first[row * row_stride + column * column_stride]; }

  int64_t row_stride, column_stride, size;
  std::unique_ptr<Storage[]> values;
  Storage *first;
};

inline bool Near(double got, double wanted) {
  const auto rounded = static_cast<double>(static_cast<float>(wanted));
  return got == rounded || (got != got && rounded != rounded) ||
         std::abs(got - rounded) <= 1e-6 * std::abs(rounded) + 1e-37;
}

// What decides in a row, as float32; whether it is all defined.
inline bool Choice(const Row &scores, const Row &bias, const Shape &shape, Row *choice) {
  bool high = false, low = false, defined = true;
  for (size_t i = 0; i < scores.size(); ++i) {
    choice->push_back(static_cast<float>(scores[i] + bias[i]));
    high = high || choice->back() == INFINITY, low = low || choice->back() == -INFINITY;
    defined = defined && choice->back() == choice->back();
  }
  return defined && !(shape.mode == 1 && high && low);
}

inline void CheckSound(const int32_t *expert_idx, const Shape &shape) {
  std::set<int32_t> all(expert_idx, expert_idx + shape.k);
  DEMAND(static_cast<int64_t>(all.size()) == shape.k, "an expert twice");
  DEMAND(*all.begin() >= 0 && *all.rbegin() < shape.experts, "an expert that does not exist");
}

// Arguments of which one cannot be run, and nothing is touched.
inline void CheckRefusals(const moe_gating_top_k_args &args, Bytes &bytes) {
  auto wrong = args;
  const int64_t largest = args.k_group * (args.experts / args.group_count);
  const uint32_t which = bytes.Next(1) % 12;
  switch (which) {
    case 0: wrong.k = bytes.Of({int64_t{0}, int64_t{-1}, largest + 1, INT64_MAX, INT64_MIN}); break;
    case 1: wrong.experts = bytes.Of({int64_t{0}, int64_t{-1}, int64_t{2049}, INT64_MAX, INT64_MIN}); break;
    case 2: wrong.tokens = bytes.Of({int64_t{-1}, INT64_MIN}); break;
    case 3: wrong.group_count = bytes.Of({int64_t{0}, int64_t{-1}, args.experts + 1, INT64_MAX, INT64_MIN}); break;
    case 4: wrong.k_group = bytes.Of({int64_t{0}, int64_t{-1}, args.group_count + 1, INT64_MAX, INT64_MIN}); break;
    case 5: wrong.group_select_mode = bytes.Of({int64_t{2}, int64_t{-1}, INT64_MAX}); break;
    case 6: wrong.renorm = bytes.Of({int64_t{2}, int64_t{-1}, INT64_MIN}); break;
    case 7: wrong.norm_type = bytes.Of({int64_t{3}, int64_t{-1}, INT64_MAX}); break;
    case 8: wrong.dtype = bytes.Of({3, -1, INT32_MAX}); break;
    case 9: wrong.x = nullptr; break;
    case 10: wrong.y = nullptr; break;
    default: wrong.expert_idx = nullptr; break;
  }
  const int code = moe_gating_top_k(&wrong, 2);
  const bool nothing = which > 8 && args.tokens == 0;  // needs no memory
  DEMAND((code == 0) == nothing, "code %d", code);
  DEMAND(moe_gating_top_k_rows(&args, args.tokens, args.tokens + 1) == MOE_GATING_BAD_TOKENS, "a row too many");
}

template <class Type>
void Run(Bytes &bytes, int32_t dtype) {
  using Storage = typename Type::Storage;
  constexpr int64_t kCounts[] = {1, 1, 1, 2, 3, 4, 8, 16, 32, 64};
  Shape shape{};
  shape.group_count = bytes.Of(kCounts);
  const int64_t most = bytes.Next(1) % 16 == 0 ? 2048 : bytes.Of({16, 64, 300});
  shape.experts = shape.group_count * bytes.Between(1, std::max<int64_t>(1, most / shape.group_count));
  if (bytes.Next(1) % 16 == 0) shape.group_count = shape.experts;
  shape.k_group = bytes.Between(1, shape.group_count);
  const int64_t largest = shape.k_group * (shape.experts / shape.group_count);
  shape.k = bytes.Between(1, bytes.Next(1) % 4 == 0 ? largest : std::min<int64_t>(largest, 17));
  shape.mode = shape.experts > 1 ? bytes.Between(0, 1) : 0;
  if (shape.experts == shape.group_count) shape.mode = 0;
  const int64_t tokens = bytes.Between(0, std::min<int64_t>(40, 4096 / shape.experts));
  const uint32_t kind = bytes.Next(1) % 4;
  Matrix<Storage> x(bytes, tokens, shape.experts), bias(bytes, 1, shape.experts);
  const bool with_bias = bytes.Next(1) % 2 == 1;
  std::vector<Storage> y(static_cast<size_t>(tokens * shape.k));
  std::vector<int32_t> expert_idx(y.size());
  std::vector<float> norm_out(static_cast<size_t>(tokens * shape.experts));
  moe_gating_top_k_args args{};
  args.x = x.first, args.x_row_stride = x.row_stride, args.x_column_stride = x.column_stride;
  args.bias = with_bias ? bias.first : nullptr, args.bias_stride = bias.column_stride;
  args.tokens = tokens, args.experts = shape.experts, args.k = shape.k, args.k_group = shape.k_group;
  args.group_count = shape.group_count, args.group_select_mode = shape.mode, args.dtype = dtype;
  args.renorm = bytes.Between(0, 1), args.norm_type = bytes.Between(0, 2);
  args.routed_scaling_factor = bytes.Of({1.0f, 2.5f, -0.7f, 0.0f, 1e-30f, 16.0f});
  args.eps = bytes.Of({1e-20f, 0.0f, 0.25f});
  args.y = y.data(), args.expert_idx = expert_idx.data(), args.norm_out = norm_out.data();
  if (bytes.Next(1) % 8 == 0) CheckRefusals(args, bytes);
  // The last of the bytes: where they end, the rest repeats what there is.
  const uint32_t period = 1 + bytes.Next(1);
  std::vector<float> drawn;
  for (uint32_t i = 0; i < period; ++i) drawn.push_back(Logit(bytes, kind == 3 ? i % 3 : kind));
  for (int64_t i = 0; i < x.size; ++i)
    x.values[static_cast<size_t>(i)] = Type::store(drawn[static_cast<size_t>(i) % period]);
  for (int64_t i = 0; i < bias.size; ++i)
    bias.values[static_cast<size_t>(i)] = Type::store(drawn[static_cast<size_t>(i * 7 + 3) % period]);
  const int code = moe_gating_top_k(&args, 1 + static_cast<int>(period % 3));
  DEMAND(code == 0, "%s", moe_gating_top_k_error(code));

  // The same in float32, of which y is rounded once.
  std::vector<float> x32, bias32(static_cast<size_t>(shape.experts)), y32(y.size());
  for (int64_t i = 0; i < tokens * shape.experts; ++i)
    x32.push_back(Type::load(x.at(i / shape.experts, i % shape.experts)));
  for (int64_t i = 0; i < shape.experts && with_bias; ++i) bias32[static_cast<size_t>(i)] = Type::load(bias.at(0, i));
  auto args32 = args;
  args32.x = x32.data(), args32.x_row_stride = shape.experts, args32.x_column_stride = 1, args32.y = y32.data();
  args32.bias = with_bias ? bias32.data() : nullptr, args32.bias_stride = 1, args32.dtype = MOE_GATING_FLOAT32;
  args32.norm_out = nullptr;
  std::vector<int32_t> expert_idx32(expert_idx.size());
  args32.expert_idx = expert_idx32.data();
  DEMAND(moe_gating_top_k(&args32, 1) == 0, "as float32");
  DEMAND(expert_idx32 == expert_idx, "other experts as float32");

  bool moderate = x.row_stride == shape.experts && x.column_stride == 1;
  for (const float logit : x32) moderate = moderate && std::abs(logit) <= 3;
  for (int64_t token = 0; token < tokens; ++token) {
    const auto *chosen = expert_idx.data() + token * shape.k;
    CheckSound(chosen, shape);
    const auto row = [&](const auto &of, int64_t width) {
      return Row(of.begin() + token * width, of.begin() + (token + 1) * width);
    };
    const Row logits = row(x32, shape.experts), got = row(norm_out, shape.experts),
              scores = normalize(logits, args.norm_type);
    Row choice;
    if (!Choice(got, Row(bias32.begin(), bias32.end()), shape, &choice)) continue;
    for (size_t i = 0; i < scores.size(); ++i)
      DEMAND(Near(got[i], scores[i]), "norm_type %d, score %g for %g of %g", int(args.norm_type), got[i], scores[i],
             logits[i]);
    const auto wanted = choose(choice, shape);
    const bool divided = args.norm_type != 0 || args.renorm != 0;
    double sum = 0;
    for (int64_t i = 0; i < shape.k; ++i) {
      DEMAND(chosen[i] == wanted[static_cast<size_t>(i)], "E %d k %d: expert %d for %d", int(shape.experts),
             int(shape.k), chosen[i], int(wanted[static_cast<size_t>(i)]));
      sum += got[static_cast<size_t>(chosen[i])];
    }
    for (int64_t i = 0; i < shape.k; ++i) {
      const auto at = static_cast<size_t>(token * shape.k + i);
      double weight = got[static_cast<size_t>(chosen[i])];
      if (divided) weight = static_cast<float>(weight / (static_cast<float>(sum) + args.eps));
      DEMAND(Near(y32[at], weight * args.routed_scaling_factor), "weight %g for %g", y32[at],
             weight * args.routed_scaling_factor);
      const auto once = Type::store(y32[at]);
      DEMAND(std::memcmp(&once, &y[at], sizeof once) == 0 || y32[at] != y32[at], "rounded otherwise");
    }
  }
  std::mt19937 random(period);
  if (moderate && shape.k > 1 && args.routed_scaling_factor >= 1) run_gradient<Type>(args, random);
}

inline void RunKernel(const uint8_t *data, size_t size) {
  Bytes bytes(data, size);
  switch (bytes.Next(1) % 3) {
    case 0: return Run<Float32>(bytes, MOE_GATING_FLOAT32);
    case 1: return Run<Float16>(bytes, MOE_GATING_FLOAT16);
    default: return Run<BFloat16>(bytes, MOE_GATING_BFLOAT16);
  }
}

}  // namespace fuzz
