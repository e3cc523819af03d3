#include "aclnn_operations.h"

#include <cmath>
#include <cstring>
#include <random>

#include "refuse.h"

namespace host_cann::aclnn {
namespace {

template <class Draw>
int Random(Call &call, Out self, uint64_t seed, uint64_t offset, Draw draw) {
  call.run = [=](const Views &, const Views &to) {
    std::seed_seq mixed{seed, seed >> 32, offset, offset >> 32};
    std::mt19937_64 generator(mixed);
    std::vector<double> values(static_cast<size_t>(to[0]->count()));
    for (auto &value : values) value = draw(generator);
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {}, self);
}

}  // namespace

int Operands(Call &call, std::initializer_list<std::pair<const char *, In>> inputs, Out out) {
  for (const auto &[name, tensor] : inputs) {
    if (tensor == nullptr) return call.NullPointer(name);
    call.In(name, tensor);
  }
  if (out == nullptr) return call.NullPointer("out");
  call.Out("out", out);
  return 0;
}

int Cast(Call &call, In self, int dtype, Out out) {
  if (self == nullptr || out == nullptr) return call.NullPointer("self or out");
  if (static_cast<DType>(dtype) != out->view.dtype) return call.Invalid(kBadParam, "dtype is not that of out");
  call.In("self", self);
  call.Out("out", out);
  call.Attribute("dtype", std::string(DTypeName(out->view.dtype)));
  call.run = [](const Views &in, const Views &out_) { return Copy(*in[0], *out_[0]), 0; };
  return 0;
}

int InplaceCopy(Call &call, Out self, In source) {
  if (self == nullptr || source == nullptr) return call.NullPointer("selfRef or src");
  call.In("src", source);
  call.Out("selfRef", self);
  call.run = [](const Views &in, const Views &out) { return Copy(*in[0], *out[0]), 0; };
  return 0;
}

int Fill(Call &call, Out self, Value value) {
  if (self == nullptr || value == nullptr) return call.NullPointer("selfRef or value");
  call.Attribute("value", value->value);
  call.Out("selfRef", self);
  call.run = [number = Number(value)](const Views &, const Views &out) { return Copy(number.view(), *out[0]), 0; };
  return 0;
}

static int FillConstant(Call &call, Out self, double value) {
  const Scalar scalar{value, static_cast<int64_t>(value), DType::kDouble};
  return Fill(call, self, &scalar);
}
int Zero(Call &call, Out self) { return FillConstant(call, self, 0); }
int One_(Call &call, Out self) { return FillConstant(call, self, 1); }

int Arange(Call &call, Value start, Value, Value step, Out out) {
  if (start == nullptr || step == nullptr) return call.NullPointer("start or step");
  call.run = [first = start->value, by = step->value](const Views &, const Views &to) {
    std::vector<double> values(static_cast<size_t>(to[0]->count()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<double>(i) * by;
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {}, out);
}

int Normal(Call &call, Out self, float mean, float std, int64_t seed, int64_t offset) {
  return Random(call, self, static_cast<uint64_t>(seed), static_cast<uint64_t>(offset),
                [=](auto &generator) { return std::normal_distribution<double>(mean, std)(generator); });
}

int Uniform(Call &call, Out self, double from, double to, uint64_t seed, uint64_t offset) {
  return Random(call, self, seed, offset, [=](auto &generator) {
    return std::min(std::uniform_real_distribution<double>(from, to)(generator), from + (to - from) * (1 - 0x1p-11));
  });
}

int RandomIntegers(Call &call, Out self, int64_t from, int64_t to, int64_t seed, int64_t offset) {
  return Random(call, self, static_cast<uint64_t>(seed), static_cast<uint64_t>(offset), [=](auto &generator) {
    return static_cast<double>(std::uniform_int_distribution<int64_t>(from, to - 1)(generator));
  });
}

int Clamp(Call &call, In self, Value least, Value most, Out out) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  call.run = [low = least == nullptr ? -kInfinity : least->value, high = most == nullptr ? kInfinity : most->value](
                 const Views &in, const Views &to) {
    auto values = Values<double>(*in[0], to[0]->sizes);
    for (auto &value : values) value = value != value ? value : std::min(std::max(value, low), high);
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}}, out);
}

// Division that is exact (0), cut towards zero (1) or rounded down (2).
int DivMode(Call &call, In self, In other, int mode, Out out) {
  call.run = [mode](const Views &in, const Views &to) {
    auto values = Values<double>(*in[0], to[0]->sizes);
    const auto divisors = Values<double>(*in[1], to[0]->sizes);
    for (size_t i = 0; i < values.size(); ++i) {
      const double quotient = values[i] / divisors[i];
      values[i] = mode == 1 ? std::trunc(quotient) : mode == 2 ? std::floor(quotient) : quotient;
    }
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

int DivModeNumber(Call &call, In self, Value other, int mode, Out out) {
  if (other == nullptr) return call.NullPointer("other");
  return mode == 2   ? WithNumber<FloorDiv>(call, self, other, out)
         : mode == 0 ? WithNumber<Div>(call, self, other, out)
                     : call.Invalid(kBadParam, "truncation is not implemented");
}

int Inverse(Call &call, In self, Out out) {
  const bool truth = self != nullptr && self->view.dtype == DType::kBool;
  return truth ? One<LogicalNot>(call, self, out) : One<BitwiseNot>(call, self, out);
}

int Equals(Call &call, In self, In other, Out out) {
  call.run = [](const Views &in, const Views &to) {
    const bool sizes = in[0]->sizes == in[1]->sizes;
    const bool same = sizes && Values<double>(*in[0], in[0]->sizes) == Values<double>(*in[1], in[1]->sizes);
    return FillWith(same ? 1 : 0, *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

int IsClose(Call &call, In self, In other, double rtol, double atol, bool equal_nan, Out out) {
  call.run = [=](const Views &in, const Views &to) {
    auto values = Values<double>(*in[0], to[0]->sizes);
    const auto others = Values<double>(*in[1], to[0]->sizes);
    for (size_t i = 0; i < values.size(); ++i) {
      const double a = values[i], b = others[i];
      const bool near = a == b || (std::isfinite(b) && std::abs(a - b) <= atol + rtol * std::abs(b));
      values[i] = near || (equal_nan && a != a && b != b) ? 1 : 0;
    }
    return Copy(Over(&values, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"other", other}}, out);
}

int Mean(Call &call, In self, Ints dims, bool keep, int, Out out) {
  const int status = Along<Sum>(call, self, dims, keep, out);
  call.run = [sum = call.run](const Views &in, const Views &to) {
    std::vector<double> total(static_cast<size_t>(to[0]->count()));
    const Views wide{Over(&total, to[0]->sizes)};
    sum(in, wide);
    for (auto &value : total) value /= static_cast<double>(in[0]->count()) / static_cast<double>(total.size());
    return Copy(*wide[0], *to[0]), 0;
  };
  return status;
}

int Softmax(Call &call, In self, int64_t dim, Out out) {
  call.run = [dim](const Views &in, const Views &to) { return host_cann::Softmax(*in[0], dim, *to[0]), 0; };
  return Operands(call, {{"self", self}}, out);
}

int MatrixProduct(Call &call, In self, In other, Out out, int8_t) {
  if (self == nullptr || other == nullptr || out == nullptr) return call.NullPointer("self, mat2 or out");
  const auto &a = self->view.sizes, &b = other->view.sizes, &c = out->view.sizes;
  const bool matrices = a.size() >= 2 && b.size() >= 2 && c.size() >= 2;
  if (!matrices || a.back() != b[b.size() - 2] || c[c.size() - 2] != a[a.size() - 2] || c.back() != b.back()) {
    return call.Invalid(kBadParam, "only [..., m, k] x [..., k, n] is implemented, got " + Sizes(a) + " x " + Sizes(b) +
                                       " -> " + Sizes(c));
  }
  call.run = [](const Views &in, const Views &to) { return MatMul(*in[0], *in[1], nullptr, *to[0]), 0; };
  return Operands(call, {{"self", self}, {"mat2", other}}, out);
}

int AddMatrices(Call &call, In self, In a, In b, Value beta, Value alpha, Out out, int8_t) {
  call.run = [scale = AlphaOf(alpha), weight = AlphaOf(beta)](const Views &in, const Views &to) {
    auto product = std::vector<float>(static_cast<size_t>(to[0]->count()));
    MatMul(*in[1], *in[2], nullptr, Over(&product, to[0]->sizes));
    const auto added = Values<float>(*in[0], to[0]->sizes);
    for (size_t i = 0; i < product.size(); ++i) {
      product[i] = static_cast<float>(scale * product[i] + (weight == 0 ? 0 : weight * added[i]));
    }
    return Copy(Over(&product, to[0]->sizes), *to[0]), 0;
  };
  return Operands(call, {{"self", self}, {"mat1", a}, {"mat2", b}}, out);
}

int MoeGatingTopK(Call &call, In x, In bias, int64_t k, int64_t k_group, int64_t group_count, int64_t group_select_mode,
                  int64_t renorm, int64_t norm_type, bool out_flag, double scale, double eps, Out y, Out expert_idx,
                  Out norm_out) {
  return MoeGatingTopKV2(call, x, bias, nullptr, nullptr, k, k_group, group_count, group_select_mode, renorm, norm_type,
                         out_flag, scale, eps, y, expert_idx, norm_out);
}

int MoeGatingTopKV2(Call &call, In x, In bias, In input_ids, In tid2eid, int64_t k, int64_t k_group,
                    int64_t group_count, int64_t group_select_mode, int64_t renorm, int64_t norm_type, bool out_flag,
                    double scale, double eps, Out y, Out expert_idx, Out norm_out) {
  if (x == nullptr || y == nullptr || expert_idx == nullptr || norm_out == nullptr) {
    return call.NullPointer("x, yOut, expertIdxOut or outOut");
  }
  const auto dtype = x->view.dtype;
  if (dtype != DType::kFloat && dtype != DType::kHalf && dtype != DType::kBFloat16) {
    return call.Invalid(kBadParam, std::string("x is ") + DTypeName(dtype));
  }
  if (y->view.dtype != dtype || expert_idx->view.dtype != DType::kInt32 || norm_out->view.dtype != DType::kFloat ||
      (bias != nullptr && bias->view.dtype != dtype)) {
    return call.Invalid(kBadParam, "bias and yOut must have x's dtype, expertIdxOut int32, outOut float32");
  }
  for (In integers : {input_ids, tid2eid}) {
    if (integers != nullptr && integers->view.dtype != DType::kInt32 && integers->view.dtype != DType::kInt64)
      return call.Invalid(kBadParam, "inputIds and tid2eid must be int32 or int64");
  }
  const Gating gating{k,
                      k_group,
                      group_count,
                      group_select_mode,
                      renorm,
                      norm_type,
                      out_flag,
                      static_cast<float>(scale),
                      static_cast<float>(eps)};
  const auto view = [](In tensor) { return tensor == nullptr ? nullptr : &tensor->view; };
  const auto refusal = GatingRefusal(gating, x->view, view(bias), {view(input_ids), view(tid2eid)});
  if (!refusal.empty()) return call.Invalid(kBadTiling, refusal);
  const std::vector<int64_t> kept = {x->view.sizes[0], k};
  if (y->view.sizes != kept || expert_idx->view.sizes != kept || norm_out->view.sizes != x->view.sizes) {
    return call.Invalid(kBadTiling, "yOut is " + Sizes(y->view.sizes) + ", expertIdxOut " +
                                        Sizes(expert_idx->view.sizes) + ", outOut " + Sizes(norm_out->view.sizes));
  }
  call.In("x", x);
  call.In("bias", bias);
  call.In("input_ids", input_ids);
  call.In("tid2eid", tid2eid);
  call.Out("y", y);
  call.Out("expert_idx", expert_idx);
  call.Out("out", norm_out);
  call.Attribute("k", k);
  call.Attribute("k_group", k_group);
  call.Attribute("group_count", group_count);
  call.Attribute("group_select_mode", group_select_mode);
  call.Attribute("renorm", renorm);
  call.Attribute("norm_type", norm_type);
  call.Attribute("out_flag", out_flag);
  call.Attribute("routed_scaling_factor", scale);
  call.Attribute("eps", eps);
  call.run = [gating](const Views &in, const Views &out) {
    const auto given = [&in](size_t i) { return in[i] ? &*in[i] : nullptr; };
    return GatingTopK(gating, *in[0], given(1), *out[0], *out[1], *out[2], {given(2), given(3)});
  };
  return 0;
}

}  // namespace host_cann::aclnn
