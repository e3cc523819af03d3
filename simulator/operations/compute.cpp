// Operations that compute, and that fill with what is computed.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {
namespace {

View Transposed(View matrix, bool transpose) {
  const size_t rank = matrix.sizes.size();
  if (transpose) {
    std::swap(matrix.sizes[rank - 2], matrix.sizes[rank - 1]);
    std::swap(matrix.strides[rank - 2], matrix.strides[rank - 1]);
  }
  return matrix;
}

// alpha * a [..., m, k] x b [..., k, n] + beta * bias (or none), batches and bias broadcast; accumulated in float32 and
// rounded once.
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

std::vector<int64_t> Batches(const View &matrices) { return {matrices.sizes.begin(), matrices.sizes.end() - 2}; }

// Fills x with numbers that draw(generator) gives, the same for the same seed and offset. In a captured graph both are
// on the device, and each replay brings another offset.
template <class Draw>
void Random(Call &call, Draw draw) {
  const bool given = !call.Has(2);
  const std::vector<int64_t> numbers{given ? call.Integer("seed") : 0, given ? call.Integer("offset") : 0};
  FilledLike<0>(call);
  call.work = [=, more = call.Integer("more")](const Views &in, Views &out) {
    const auto seed = static_cast<uint64_t>(given ? numbers[0] : Values<int64_t>(in[1])[0]);
    const auto offset = static_cast<uint64_t>((given ? numbers[1] : Values<int64_t>(in[2])[0]) + more);
    std::seed_seq mixed{seed, seed >> 32, offset, offset >> 32};
    std::mt19937_64 generator(mixed);
    std::vector<double> values(static_cast<size_t>(out[0].count()));
    for (auto &value : values) value = draw(generator);
    Copy(Over(values, out[0].sizes), out[0]);
  };
}

}  // namespace

// x2 - alpha * x1.
void ReverseSub(Call &call) {
  std::swap(call.inputs[0], call.inputs[1]);
  Binary<Sub>(call);
}

// value * x.
void Scale(Call &call) {
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.work = [value = call.Real("value", 1)](const Views &in, Views &out) {
    std::vector<double> factor{value};
    Combine<Mul>(in[0], Over(factor, {}), out[0]);
  };
}

void BitwiseInverse(Call &call) {
  call.In(0).dtype == DType::kBool ? Unary<LogicalNot>(call) : Unary<BitwiseNot>(call);
}

// Division that is exact (0), cut towards zero (1) or rounded down (2).
void Divide(Call &call) {
  const int64_t mode = call.Integer("mode");
  mode == 0 ? Binary<Div>(call) : mode == 1 ? Binary<TruncDiv>(call) : Binary<FloorDiv>(call);
}

// x with min and max, of which one may be missing, as its limits.
void Clamp(Call &call) {
  auto sizes = call.In(0).sizes;
  for (const size_t limit : {1, 2}) {
    if (!call.Has(limit)) continue;
    if (call.In(limit).dtype != call.In(0).dtype && !call.promotes) Invalid("the inputs have two dtypes");
    sizes = BroadcastSizes(sizes, call.In(limit).sizes);
  }
  call.Out(call.In(0).dtype, sizes);
  call.work = [](const Views &in, Views &out) {
    Copy(in[0], out[0]);
    if (Optional(in, 1).given()) Combine<Maximum>(out[0], in[1], out[0]);
    if (Optional(in, 2).given()) Combine<Minimum>(out[0], in[2], out[0]);
  };
}

// The p-norm along axes; a p beyond int32 is infinite, which is how a graph says it.
void Norm(Call &call) {
  const View &x = call.In(0);
  if (ArithmeticOf(x.dtype) == Arithmetic::kInteger) Invalid(std::string("x is ") + DTypeName(x.dtype));
  const double p = call.Real("p", call.Real("ord", 2));
  const auto reduced = ReducedDimensions(x.sizes.size(), call.Integers("axes"));
  call.Out(x.dtype, ReducedSizes(x.sizes, reduced, call.Integer("keep_dims") != 0 || call.Integer("keepdim") != 0));
  call.work = [p, reduced](const Views &in, Views &out) {
    auto values = Values<double>(in[0]);
    const bool infinite = std::abs(p) >= 0x1p31 - 1;
    for (auto &value : values) {
      value = std::abs(value);
      if (!infinite) value = p == 0 ? value != 0 : std::pow(value, p);
    }
    std::vector<double> norms(static_cast<size_t>(out[0].count()));
    const View powers = Over(values, in[0].sizes), result = Over(norms, out[0].sizes);
    infinite ? p > 0 ? Reduce<Max>(powers, reduced, result) : Reduce<Min>(powers, reduced, result)
             : Reduce<Sum>(powers, reduced, result);
    for (auto &norm : norms) {
      if (!infinite && p != 0) norm = std::pow(norm, 1 / p);
    }
    Copy(result, out[0]);
  };
}

void AllEqual(Call &call) {
  call.Out(DType::kBool, {1});
  call.work = [](const Views &in, Views &out) {
    bool same = in[0].sizes == in[1].sizes;
    WithArithmetic(std::min(ArithmeticOf(in[0].dtype), ArithmeticOf(in[1].dtype)),
                   [&](auto zero) { same = same && Values<decltype(zero)>(in[0]) == Values<decltype(zero)>(in[1]); });
    Copy(Over(std::vector<int64_t>{same}, {}), out[0]);
  };
}

void IsClose(Call &call) {
  Compare<Equal>(call);
  call.work = [rtol = call.Real("rtol", 0), atol = call.Real("atol", 0), equal_nan = call.Integer("equal_nan") != 0](
                  const Views &in, Views &out) {
    auto values = Values<double>(in[0], out[0].sizes);
    const auto others = Values<double>(in[1], out[0].sizes);
    for (size_t i = 0; i < values.size(); ++i) {
      const double a = values[i], b = others[i];
      const bool near = a == b || (std::isfinite(b) && std::abs(a - b) <= atol + rtol * std::abs(b));
      values[i] = near || (equal_nan && a != a && b != b) ? 1 : 0;
    }
    Copy(Over(values, out[0].sizes), out[0]);
  };
}

void Softmax(const View &x, int64_t dim, const View &y) {
  const View rows = RowsAlong(x, dim);
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
    Copy(Over(values, rows.sizes), RowsAlong(y, dim));
  });
}

void SoftmaxAlong(Call &call) {
  const View &x = call.In(0);
  const auto axes = call.Integers("axes");
  if (axes.size() > 1) Invalid("axes " + Sizes(axes) + " is not one dimension");
  const int64_t dim = Dimension(axes.empty() ? -1 : axes[0], x.sizes.size());
  call.Out(call.Integer("half_to_float") != 0 ? DType::kFloat : x.dtype, x.sizes);
  call.work = [dim](const Views &in, Views &out) { Softmax(in[0], dim, out[0]); };
}

// y * (gradient - the sum of gradient * y along a dimension).
void SoftmaxGradient(Call &call, int64_t dim, size_t gradient, size_t y_place) {
  if (call.In(gradient).sizes != call.In(y_place).sizes)
    Invalid(call.inputs[gradient].name + " is " + Sizes(call.In(gradient).sizes) + ", " + call.inputs[y_place].name +
            " is " + Sizes(call.In(y_place).sizes));
  call.Out(call.In(gradient).dtype, call.In(gradient).sizes);
  call.work = [=](const Views &in, Views &out) {
    const View rows = RowsAlong(in[gradient], dim);
    auto values = Values<double>(rows);
    const auto y = Values<double>(RowsAlong(in[y_place], dim));
    const auto length = rows.sizes.back();
    for (auto row = values.begin(), of = values.begin(); row != values.end(); row += length) {
      const auto *factors = y.data() + (row - of);
      const double total = std::inner_product(row, row + length, factors, 0.0);
      std::transform(row, row + length, factors, row, [total](double g, double f) { return f * (g - total); });
    }
    Copy(Over(values, rows.sizes), RowsAlong(out[0], dim));
  };
}

void SoftmaxBackward(Call &call) {
  SoftmaxGradient(call, Dimension(call.Integer("axis"), call.In(0).sizes.size()), 0, 1);
}

void SoftmaxGrad(Call &call) {
  const auto axes = call.Integers("axes");
  if (axes.size() > 1) Invalid("axes " + Sizes(axes) + " is not one dimension");
  SoftmaxGradient(call, Dimension(axes.empty() ? -1 : axes[0], call.In(0).sizes.size()), 1, 0);
}

// alpha * x1 x2 + beta * bias, each x transposed if an attribute says so.
void MatrixProduct(Call &call) {
  const auto given = Sizes(call.In(0).sizes) + " x " + Sizes(call.In(1).sizes);
  if (call.In(0).sizes.size() < 2 || call.In(1).sizes.size() < 2) Invalid("an input is not a matrix: " + given);
  const bool first = call.Integer("transpose_x1") + call.Integer("adj_x1") != 0;
  const bool second = call.Integer("transpose_x2") + call.Integer("adj_x2") != 0;
  const View a = Transposed(call.In(0), first), b = Transposed(call.In(1), second);
  if (a.sizes.back() != b.sizes[b.sizes.size() - 2]) Invalid("the inner sizes differ: " + given);
  auto sizes = BroadcastSizes(Batches(a), Batches(b));
  sizes.insert(sizes.end(), {a.sizes[a.sizes.size() - 2], b.sizes.back()});
  if (call.Has(2) && BroadcastSizes(sizes, call.In(2).sizes) != sizes)
    Invalid("the bias " + Sizes(call.In(2).sizes) + " does not broadcast to " + Sizes(sizes));
  for (const View *x : {&a, &b}) {
    auto batched = sizes;  // of a copy of it for each batch
    std::copy(x->sizes.end() - 2, x->sizes.end(), batched.end() - 2);
    DemandTensor({nullptr, DType::kFloat, batched, {}});
  }
  call.Out(a.dtype, sizes);
  call.work = [=, alpha = call.Real("alpha", 1), beta = call.Real("beta", 1)](const Views &in, Views &out) {
    MatMul(Transposed(in[0], first), Transposed(in[1], second), Optional(in, 2), alpha, beta, out[0]);
  };
}

// The bias comes first.
void AddMatrices(Call &call) {
  std::rotate(call.inputs.begin(), call.inputs.begin() + 1, call.inputs.begin() + 3);
  MatrixProduct(call);
}

void FillInto(Call &call) {
  FilledLike<0>(call);
  call.work = [](const Views &in, Views &out) { Copy(in[1], out[0]); };
}

void Fill(Call &call) {
  DemandNumber(call.inputs[1]);
  call.Out(call.In(1).dtype, call.Integers("dims"));
  call.work = [](const Views &in, Views &out) { Copy(Contiguous(in[1].data, in[1].dtype, {}), out[0]); };
}

void Range(Call &call) {
  const double start = call.Real("start", 0), step = call.Real("step", call.Real("delta", 1));
  if (step == 0) Invalid("the step is 0");
  const auto &numbers = call.inputs;  // real ones count before integers, and then the wider ones
  const auto wider = [](const Operand &a, const Operand &b) {
    const auto of_a = ArithmeticOf(a.view.dtype), of_b = ArithmeticOf(b.view.dtype);
    const bool integers = of_a == Arithmetic::kInteger, others = of_b == Arithmetic::kInteger;
    return integers == others ? ElementSize(a.view.dtype) < ElementSize(b.view.dtype) : integers;
  };
  const auto dtype = std::max_element(numbers.begin(), numbers.end(), wider)->view.dtype;
  const double count = std::ceil((call.Real("end", call.Real("limit", 0)) - start) / step);
  if (!(count < 0x1p62)) Invalid("the range has no end");
  call.Out(dtype, {count > 0 ? static_cast<int64_t>(count) : 0});
  call.work = [start, step](const Views &, Views &out) {
    std::vector<double> values(static_cast<size_t>(out[0].count()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = start + static_cast<double>(i) * step;
    Copy(Over(values, out[0].sizes), out[0]);
  };
}

void NormalInto(Call &call) {
  Random(call, [mean = call.Real("mean", 0), std = call.Real("std", 1)](auto &generator) {
    return std::normal_distribution<double>(mean, std)(generator);
  });
}

// Rounded to a half, the largest number must stay below `to`.
void UniformInto(Call &call) {
  Random(call, [from = call.Real("from", 0), to = call.Real("to", 1)](auto &generator) {
    return std::min(std::uniform_real_distribution<double>(from, to)(generator), from + (to - from) * (1 - 0x1p-11));
  });
}

void RandomInto(Call &call) {
  Random(call, [from = call.Integer("from"), to = call.Integer("to")](auto &generator) {
    return static_cast<double>(std::uniform_int_distribution<int64_t>(from, to - 1)(generator));
  });
}

}  // namespace host_cann::operations
