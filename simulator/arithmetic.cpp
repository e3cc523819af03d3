#include <algorithm>
#include <thread>

#include "../kernels/half.h"
#include "../kernels/moe_gating_top_k.h"
#include "elementwise.h"
#include "indexing.h"
#include "linear.h"
#include "reduce.h"

namespace host_cann {
namespace {

// How one element lies in memory (Storage) and what it counts as in arithmetic.
template <class T>
struct Plain {
  using Storage = T;
  static T load(T stored) { return stored; }
  static T store(T value) { return value; }
};
struct Bool {
  using Storage = uint8_t;
  static bool load(uint8_t stored) { return stored != 0; }
  static uint8_t store(bool value) { return value ? 1 : 0; }
};
using moe_gating::BFloat16;
using moe_gating::Float16;

// Calls use(Element{}) with the element type of a dtype; false for a dtype without one.
template <class Use>
bool WithElement(DType dtype, const Use &use) {
  switch (dtype) {
    case DType::kFloat: use(Plain<float>{}); return true;
    case DType::kHalf: use(Float16{}); return true;
    case DType::kBFloat16: use(BFloat16{}); return true;
    case DType::kDouble: use(Plain<double>{}); return true;
    case DType::kInt8: use(Plain<int8_t>{}); return true;
    case DType::kUInt8: use(Plain<uint8_t>{}); return true;
    case DType::kInt16: use(Plain<int16_t>{}); return true;
    case DType::kInt32: use(Plain<int32_t>{}); return true;
    case DType::kInt64: use(Plain<int64_t>{}); return true;
    case DType::kBool: use(Bool{}); return true;
    default: return false;
  }
}

// `view` with the sizes of `shape`: missing and single dimensions are repeated by a stride of 0.
View Broadcast(const View &view, const std::vector<int64_t> &shape) {
  View wide{view.data, view.dtype, shape, std::vector<int64_t>(shape.size(), 0)};
  const size_t missing = shape.size() - view.sizes.size();
  for (size_t i = 0; i < view.sizes.size(); ++i) {
    if (view.sizes[i] != 1) wide.strides[missing + i] = view.strides[i];
  }
  return wide;
}

// Calls row(from, to) with the two element offsets of every innermost row.
template <class Row>
void ForEachRow(const View &from, const View &to, const Row &row) {
  const size_t outer = to.sizes.empty() ? 0 : to.sizes.size() - 1;
  std::vector<int64_t> index(outer, 0);
  if (to.count() == 0) return;
  while (true) {
    int64_t from_offset = 0, to_offset = 0;
    for (size_t i = 0; i < outer; ++i) {
      from_offset += index[i] * from.strides[i];
      to_offset += index[i] * to.strides[i];
    }
    row(from_offset, to_offset);
    size_t i = outer;
    while (i > 0 && ++index[i - 1] == to.sizes[i - 1]) index[--i] = 0;
    if (i == 0) return;
  }
}

template <class From, class To>
void CopyAs(const View &from, const View &to) {
  const auto *source = reinterpret_cast<const typename From::Storage *>(from.data);
  auto *target = reinterpret_cast<typename To::Storage *>(to.data);
  const int64_t length = to.sizes.empty() ? 1 : to.sizes.back();
  const int64_t from_step = to.sizes.empty() ? 0 : from.strides.back(),
                to_step = to.sizes.empty() ? 0 : to.strides.back();
  ForEachRow(from, to, [&](int64_t from_offset, int64_t to_offset) {
    for (int64_t i = 0; i < length; ++i) {
      const auto value = From::load(source[from_offset + i * from_step]);
      using Value = decltype(To::load(typename To::Storage{}));
      target[to_offset + i * to_step] = To::store(static_cast<Value>(value));
    }
  });
}

int32_t KernelDType(DType dtype) {
  return dtype == DType::kFloat ? MOE_GATING_FLOAT32 : dtype == DType::kHalf ? MOE_GATING_FLOAT16 : MOE_GATING_BFLOAT16;
}

moe_gating_top_k_args KernelArguments(const Gating &g, const View &x, const View &bias) {
  moe_gating_top_k_args args{};
  args.x = x.data;
  args.x_row_stride = x.strides[0];
  args.x_column_stride = x.strides[1];
  if (bias.given()) {
    args.bias = bias.data;
    args.bias_stride = bias.strides[0];
  }
  args.tokens = x.sizes[0];
  args.experts = x.sizes[1];
  args.k = g.k;
  args.k_group = g.k_group;
  args.group_count = g.group_count;
  args.group_select_mode = g.group_select_mode;
  args.renorm = g.renorm;
  args.norm_type = g.norm_type;
  args.routed_scaling_factor = g.routed_scaling_factor;
  args.eps = g.eps;
  args.dtype = KernelDType(x.dtype);
  return args;
}

}  // namespace

void Copy(const View &from, const View &to) {
  const View wide = Broadcast(from, to.sizes);
  WithElement(from.dtype, [&](auto source) {
    WithElement(to.dtype, [&](auto target) { CopyAs<decltype(source), decltype(target)>(wide, to); });
  });
}

std::vector<int64_t> BroadcastSizes(const std::vector<int64_t> &a, const std::vector<int64_t> &b) {
  auto sizes = a.size() >= b.size() ? a : b;
  const auto &shorter = a.size() >= b.size() ? b : a;
  for (size_t i = 1; i <= shorter.size(); ++i) {
    auto &size = sizes[sizes.size() - i];
    const int64_t other = shorter[shorter.size() - i];
    if (size == 1) size = other;
    if (other != 1 && other != size)
      throw Refusal{kBadParam, "the sizes " + Sizes(a) + " and " + Sizes(b) + " do not fit"};
  }
  return sizes;
}

Arithmetic ArithmeticOf(DType dtype) {
  if (dtype == DType::kDouble) return Arithmetic::kDouble;
  const bool real = dtype == DType::kFloat || dtype == DType::kHalf || dtype == DType::kBFloat16;
  return real ? Arithmetic::kFloat : Arithmetic::kInteger;
}

int64_t Dimension(int64_t dim, size_t rank) {
  const auto count = std::max<int64_t>(1, static_cast<int64_t>(rank));
  if (dim < -count || dim >= count)
    throw Refusal{kBadParam, std::to_string(dim) + " is not one of " + std::to_string(count) + " dimensions"};
  return dim < 0 ? dim + count : dim;
}

std::vector<bool> ReducedDimensions(size_t rank, const std::vector<int64_t> &axes) {
  std::vector<bool> reduced(rank, axes.empty());
  for (const auto axis : axes) {
    const auto at = static_cast<size_t>(Dimension(axis, rank));
    if (at < rank) reduced[at] = true;
  }
  return reduced;
}

std::vector<int64_t> ReducedSizes(const std::vector<int64_t> &sizes, const std::vector<bool> &reduced, bool keep) {
  std::vector<int64_t> left;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (!reduced[d]) left.push_back(sizes[d]);
    if (reduced[d] && keep) left.push_back(1);
  }
  return left;
}

void Softmax(const View &x, int64_t dim, const View &y) {
  const View rows = RowsAlong(x, dim), out = RowsAlong(y, dim);
  const auto length = rows.sizes.back();
  WithArithmetic(ArithmeticOf(y.dtype), [&](auto zero) {
    using T = decltype(zero);
    auto values = Values<T>(rows);
    for (auto row = values.begin(); row != values.end(); row += length) {
      const T maximum = *std::max_element(row, row + length);
      double total = 0;
      for (auto value = row; value != row + length; ++value)
        total += *value = static_cast<T>(std::exp(*value - maximum));
      for (auto value = row; value != row + length; ++value) *value = static_cast<T>(*value / static_cast<T>(total));
    }
    Copy(Over(values, rows.sizes), out);
  });
}

void MatMul(const View &a, const View &b, const View &bias, double alpha, double beta, const View &out) {
  const int64_t rows = a.sizes[a.sizes.size() - 2], inner = a.sizes.back(), columns = b.sizes.back();
  const auto batched = [&out](int64_t height, int64_t width) {
    auto sizes = out.sizes;
    sizes[sizes.size() - 2] = height;
    sizes.back() = width;
    return sizes;
  };
  const auto left = Values<float>(a, batched(rows, inner)), right = Values<float>(b, batched(inner, columns));
  std::vector<float> product(static_cast<size_t>(out.count()), 0.0F);
  const float *factors = left.data();
  for (int64_t i = 0; i < out.count() / std::max<int64_t>(columns, 1); ++i) {
    float *sum = product.data() + i * columns;
    const float *row = right.data() + i / rows * inner * columns;
    for (int64_t j = 0; j < inner; ++j, ++factors, row += columns) {
      for (int64_t n = 0; n < columns; ++n) sum[n] += *factors * row[n];
    }
  }
  if (bias.given()) {
    const auto added = Values<float>(bias, out.sizes);
    for (size_t i = 0; i < product.size(); ++i)
      product[i] = static_cast<float>(alpha * product[i] + (beta == 0 ? 0 : beta * added[i]));
  }
  Copy(Over(product, out.sizes), out);
}

std::string GatingRefusal(const Gating &g, const View &x, const View &bias) {
  if (x.sizes.size() != 2) return "x has " + std::to_string(x.sizes.size()) + " dimensions, not 2";
  const int64_t experts = x.sizes[1];
  if (experts < 1 || experts > MOE_GATING_MAX_EXPERTS)
    return "x has " + std::to_string(experts) + " experts, not 1 to 2048";
  if (bias.given() && bias.sizes != std::vector<int64_t>{experts}) return "bias does not have one value per expert";
  if (g.group_count < 1 || experts % g.group_count != 0)
    return "group_count " + std::to_string(g.group_count) + " does not divide the experts";
  const int64_t group = experts / g.group_count;
  if (group <= 2) return "groups have " + std::to_string(group) + " experts, not more than 2";
  if ((group + 31) / 32 * 32 * g.group_count > MOE_GATING_MAX_EXPERTS) return "aligned groups exceed 2048 experts";
  if (g.k_group < 1 || g.k_group > g.group_count)
    return "k_group " + std::to_string(g.k_group) + " is not in 1 to group_count";
  if (g.k < 1 || g.k > g.k_group * group)
    return "k " + std::to_string(g.k) + " is not in 1 to the experts of the kept groups";
  if (g.group_select_mode != 0 && g.group_select_mode != 1) return "group_select_mode is not 0 or 1";
  if (g.renorm != 0) return "renorm is not 0";
  if (g.norm_type != 0 && g.norm_type != 1) return "norm_type is not 0 or 1";
  return "";
}

void GatingTopK(const Gating &g, const View &x, const View &bias, const View &y, const View &expert_idx,
                const View &norm_out) {
  auto args = KernelArguments(g, x, bias);
  args.y = y.data;
  args.expert_idx = reinterpret_cast<int32_t *>(expert_idx.data);
  args.norm_out = g.out_flag ? reinterpret_cast<float *>(norm_out.data) : nullptr;
  const int code = moe_gating_top_k(&args, static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  if (code != 0) throw Refusal{code, "the kernel refused"};
}

}  // namespace host_cann
