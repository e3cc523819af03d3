// The aclnn operations: what a gate needs in eager mode. One function each says what it checks and computes, one line
// of the table at the end makes the two entry points of it.
#include <string>

#include "call.h"
#include "export.h"
#include "faults.h"
#include "ops.h"
#include "refuse.h"

namespace host_cann {
namespace {

using In = const Tensor *;
using Out = const Tensor *;
using Value = const Scalar *;
using Ints = const IntArray *;

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

int Filled(Call &call, Out self, double value) {
  if (self == nullptr) return call.NullPointer("selfRef");
  call.Out("selfRef", self);
  call.run = [value](const Views &, const Views &out) { return FillWith(value, *out[0]), 0; };
  return 0;
}

int InplaceZero(Call &call, Out self) { return Filled(call, self, 0.0); }

int InplaceFillScalar(Call &call, Out self, Value value) {
  if (value == nullptr) return call.NullPointer("value");
  call.Attribute("value", value->value);
  return Filled(call, self, value->value);
}

// The last argument chooses the cube unit's precision; the host always accumulates in float32.
int Matmul(Call &call, In self, In other, Out out, int8_t) {
  if (self == nullptr || other == nullptr || out == nullptr) return call.NullPointer("self, mat2 or out");
  const auto &a = self->view.sizes, &b = other->view.sizes, &c = out->view.sizes;
  if (a.size() != 2 || b.size() != 2 || c.size() != 2 || a[1] != b[0] || c[0] != a[0] || c[1] != b[1]) {
    return call.Invalid(kBadParam, "only [m, k] x [k, n] is implemented, got " + Sizes(self->view.sizes) + " x " +
                                       Sizes(other->view.sizes) + " -> " + Sizes(out->view.sizes));
  }
  call.In("self", self);
  call.In("mat2", other);
  call.Out("out", out);
  call.run = [](const Views &in, const Views &out_) { return MatMul(*in[0], *in[1], nullptr, *out_[0]), 0; };
  return 0;
}

int MoeGatingTopK(Call &call, In x, In bias, int64_t k, int64_t k_group, int64_t group_count, int64_t group_select_mode,
                  int64_t renorm, int64_t norm_type, bool out_flag, double scale, double eps, Out y, Out expert_idx,
                  Out norm_out) {
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
  const Gating gating{k,        k_group,  group_count, group_select_mode, renorm, norm_type,
                      out_flag, static_cast<float>(scale), static_cast<float>(eps)};
  const auto refusal = GatingRefusal(gating, x->view, bias == nullptr ? nullptr : &bias->view);
  if (!refusal.empty()) return call.Invalid(kBadTiling, refusal);
  const std::vector<int64_t> kept = {x->view.sizes[0], k};
  if (y->view.sizes != kept || expert_idx->view.sizes != kept || norm_out->view.sizes != x->view.sizes) {
    return call.Invalid(kBadTiling, "yOut is " + Sizes(y->view.sizes) + ", expertIdxOut " + Sizes(expert_idx->view.sizes) + ", outOut " +
                                        Sizes(norm_out->view.sizes));
  }
  call.In("x", x);
  call.In("bias", bias);
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
    return GatingTopK(gating, *in[0], in[1] ? &*in[1] : nullptr, *out[0], *out[1], *out[2]);
  };
  return 0;
}

template <class Describe>
int FirstPhase(const char *name, uint64_t *workspace, Call **executor, const Describe &describe) {
  if (workspace == nullptr || executor == nullptr) return Fail(kNullPointer, std::string(name) + ": no place for the result");
  if (const int status = FaultyCall((std::string(name) + "GetWorkspaceSize").c_str())) return status;
  auto *call = new Call(name);
  const int status = describe(*call);
  if (status != 0) {
    delete call;
    return status;
  }
  *workspace = 0;
  *executor = call;
  return 0;
}

// The executor is spent by the launch, as CANN's is.
int SecondPhase(Call *call, void *stream) {
  if (call == nullptr) return Fail(kNullPointer, "an aclnn call without its executor");
  const int status = call->Launch(stream);
  delete call;
  return status;
}

}  // namespace
}  // namespace host_cann

using namespace host_cann;  // NOLINT: the entry points are this file's other half

// Numbered parameters and arguments for up to 14 types.
#define PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, n, ...) n
#define COUNT(...) PICK(__VA_ARGS__, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
#define P1(t) t a1
#define P2(t, ...) t a2, P1(__VA_ARGS__)
#define P3(t, ...) t a3, P2(__VA_ARGS__)
#define P4(t, ...) t a4, P3(__VA_ARGS__)
#define P14(t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, ...) \
  t1 a14, t2 a13, t3 a12, t4 a11, t5 a10, t6 a9, t7 a8, t8 a7, t9 a6, t10 a5, P4(__VA_ARGS__)
#define A1 a1
#define A2 a2, A1
#define A3 a3, A2
#define A4 a4, A3
#define A14 a14, a13, a12, a11, a10, a9, a8, a7, a6, a5, A4
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#define ACLNN(name, implementation, ...)                                                                              \
  EXPORT int aclnn##name##GetWorkspaceSize(JOIN(P, COUNT(__VA_ARGS__))(__VA_ARGS__), uint64_t *workspace,              \
                                           Call **executor) {                                                         \
    return FirstPhase("aclnn" #name, workspace, executor,                                                             \
                      [&](Call &call) { return implementation(call, JOIN(A, COUNT(__VA_ARGS__))); });                 \
  }                                                                                                                   \
  EXPORT int aclnn##name(void *, uint64_t, Call *executor, void *stream) { return SecondPhase(executor, stream); }

ACLNN(Cast, Cast, In, int, Out)
ACLNN(InplaceCopy, InplaceCopy, Out, In)
ACLNN(InplaceZero, InplaceZero, Out)
ACLNN(InplaceFillScalar, InplaceFillScalar, Out, Value)
ACLNN(Matmul, Matmul, In, In, Out, int8_t)
ACLNN(Mm, Matmul, In, In, Out, int8_t)
ACLNN(MoeGatingTopK, MoeGatingTopK, In, In, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, double, double, Out,
      Out, Out)
