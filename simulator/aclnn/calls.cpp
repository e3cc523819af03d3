// The aclnn door: a line of the table makes the two entry points of an operation, whose first phase describes and
// checks a call and whose second puts it on a stream.
#include "operations.h"

namespace host_cann {
namespace {

// The parameters of aclnn calls. The first three are aclTensor * in C, and say what the operation does with it.
struct In {
  const Tensor *tensor;
};
struct Out {
  Tensor *tensor;
};
struct Ref {  // the first operand, and the result
  Tensor *tensor;
};
using Number = const Scalar *;
using Ints = const IntArray *;
using List = const TensorList *;
enum Reduction : int64_t { kNone = 0, kAdd = 1, kMultiply = 2 };

// What a call is given, parameter by parameter.
class Arguments {
 public:
  explicit Arguments(Call *call) : call_(*call) {}

  void Take(const Parameter &parameter, In in) {
    Demand(parameter, in.tensor);
    call_.inputs.push_back({parameter.name, in.tensor == nullptr ? View{} : in.tensor->view});
  }
  void Take(const Parameter &parameter, Out out) {
    Demand(parameter, out.tensor);
    call_.outputs.push_back({parameter.name, out.tensor == nullptr ? View{} : out.tensor->view});
    call_.outputs.back().described = out.tensor;
  }
  void Take(const Parameter &parameter, Ref ref) {
    Take(parameter, In{ref.tensor});
    Take(parameter, Out{ref.tensor});
  }
  // An operand without dimensions, which the call keeps and knows.
  void Take(const Parameter &parameter, Number number) {
    Demand(parameter, number);
    Operand operand{parameter.name, {}, true, true};
    if (number != nullptr) {
      operand.number = std::make_shared<Scalar>(*number);
      operand.view = ViewOf(operand.number.get());
    }
    call_.inputs.push_back(std::move(operand));
  }
  void Take(const Parameter &parameter, List list) {
    Demand(parameter, list);
    for (size_t i = 0; i < list->tensors.size(); ++i)
      Take({parameter.name + std::to_string(i), "", ' '}, In{list->tensors[i]});
  }
  void Take(const Parameter &parameter, Ints values) {
    call_.attributes.emplace_back(parameter.name, values == nullptr ? std::vector<int64_t>{} : values->values);
  }
  void Take(const Parameter &parameter, Reduction reduction) {
    constexpr const char *kNames[] = {"none", "add", "multiply"};
    const bool known = reduction >= kNone && reduction <= kMultiply;
    call_.attributes.emplace_back(parameter.name, std::string(known ? kNames[reduction] : std::to_string(reduction)));
  }
  void Take(const Parameter &parameter, bool value) { call_.attributes.emplace_back(parameter.name, value); }
  void Take(const Parameter &parameter, double value) { call_.attributes.emplace_back(parameter.name, value); }
  void Take(const Parameter &parameter, float value) { Take(parameter, static_cast<double>(value)); }
  template <class Integer>
  void Take(const Parameter &parameter, Integer value) {
    call_.attributes.emplace_back(parameter.name, static_cast<int64_t>(value));
  }

 private:
  static void Demand(const Parameter &parameter, const void *pointer) {
    if (pointer == nullptr && parameter.mark != '?') Invalid(parameter.name + " is a null pointer", kNullPointer);
  }
  static View ViewOf(Scalar *number) {
    const bool real = ArithmeticOf(number->dtype) != Arithmetic::kInteger;
    void *at = real ? static_cast<void *>(&number->value) : &number->integer;
    return Contiguous(static_cast<uint8_t *>(at), real ? DType::kDouble : DType::kInt64, {});
  }

  Call &call_;
};

// What the operation describes against what the caller gave.
void CheckOutputs(const Call &call) {
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const auto &[name, given] = std::tie(call.outputs[i].name, call.outputs[i].view);
    const auto &result = call.results.at(i);
    if (given.sizes != result.sizes)
      Invalid(name + " is " + Sizes(given.sizes) + ", not " + Sizes(result.sizes),
              result.exact ? kBadTiling : kBadParam);
    if (result.exact && given.dtype != result.dtype)
      Invalid(name + " is " + DTypeName(given.dtype) + ", not " + DTypeName(result.dtype));
  }
}

// Of a first phase on torch_npu's launch thread, for the second phase, which follows it there and knows the stream.
thread_local Refusal first_phase{0, ""};

template <class... Types>
int FirstPhase(const char *entry_point, void (*describe)(Call &), const std::vector<Parameter> &parameters,
               uint64_t *workspace, Call **executor, Types... arguments) {
  const int status = EntryPoint(entry_point, [&] {
    if (workspace == nullptr || executor == nullptr) Invalid("no place for the result", kNullPointer);
    const std::string name = entry_point;
    auto call = std::make_unique<Call>("aclnn", name.substr(0, name.rfind("GetWorkspaceSize")));
    call->promotes = true;
    size_t i = 0;
    (Arguments(call.get()).Take(parameters.at(i++), arguments), ...);
    describe(*call);
    CheckOutputs(*call);
    *workspace = 0;
    *executor = call.release();
  });
  if (status == 0 || !OnLaunchThread()) return status;
  first_phase = {status, RecentError()};
  return 0;
}

// The executor is spent by the launch, as CANN's is.
int SecondPhase(const char *entry_point, Call *executor, void *stream) {
  const std::shared_ptr<Call> call(executor);
  return LaunchPoint(entry_point, stream, [&] {
    if (first_phase.code != 0) throw std::exchange(first_phase, {0, ""});
    if (call == nullptr) Invalid("the executor is a null pointer", kNullPointer);
    Enqueue(stream, [call](const Stream &on) { call->Execute(on); });
  });
}

}  // namespace
}  // namespace host_cann

using namespace host_cann;              // NOLINT: the entry points are this file's other half
using namespace host_cann::operations;  // NOLINT

// Numbered parameters and arguments for up to 8 types, and for 14 and 16.
#define PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) n
#define COUNT(...) PICK(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
#define P1(t) t a1
#define P2(t, ...) t a2, P1(__VA_ARGS__)
#define P3(t, ...) t a3, P2(__VA_ARGS__)
#define P4(t, ...) t a4, P3(__VA_ARGS__)
#define P5(t, ...) t a5, P4(__VA_ARGS__)
#define P6(t, ...) t a6, P5(__VA_ARGS__)
#define P7(t, ...) t a7, P6(__VA_ARGS__)
#define P8(t, ...) t a8, P7(__VA_ARGS__)
#define P14(t14, t13, t12, t11, t10, t9, t8, ...) \
  t14 a14, t13 a13, t12 a12, t11 a11, t10 a10, t9 a9, t8 a8, P7(__VA_ARGS__)
#define P16(t16, t15, ...) t16 a16, t15 a15, P14(__VA_ARGS__)
#define A1 a1
#define A2 a2, A1
#define A3 a3, A2
#define A4 a4, A3
#define A5 a5, A4
#define A6 a6, A5
#define A7 a7, A6
#define A8 a8, A7
#define A14 a14, a13, a12, a11, a10, a9, a8, A7
#define A16 a16, a15, A14
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#define ACLNN(name, operation, names, ...)                                                                \
  EXPORT int aclnn##name##GetWorkspaceSize(JOIN(P, COUNT(__VA_ARGS__))(__VA_ARGS__), uint64_t *workspace, \
                                           Call **executor) {                                             \
    static const auto parameters = Parameters(names);                                                     \
    return FirstPhase(__func__, operation, parameters, workspace, executor, JOIN(A, COUNT(__VA_ARGS__))); \
  }                                                                                                       \
  EXPORT int aclnn##name(void *, uint64_t, Call *executor, void *stream) {                                \
    return SecondPhase(__func__, executor, stream);                                                       \
  }

ACLNN(Abs, Unary<Abs>, "self out", In, Out)
ACLNN(Add, Binary<Add>, "self other alpha? out", In, In, Number, Out)
ACLNN(Addmm, AddMatrices, "self mat1 mat2 beta? alpha? out cube_math_type", In, In, In, Number, Number, Out, int8_t)
ACLNN(Adds, Binary<Add>, "self other alpha? out", In, Number, Number, Out)
ACLNN(All, ReduceAlong<All>, "self axes keep_dims out", In, Ints, bool, Out)
ACLNN(Amax, ReduceAlong<Max>, "self axes keep_dims out", In, Ints, bool, Out)
ACLNN(Amin, ReduceAlong<Min>, "self axes keep_dims out", In, Ints, bool, Out)
ACLNN(Any, ReduceAlong<Any>, "self axes keep_dims out", In, Ints, bool, Out)
ACLNN(Arange, Range, "start end step out", Number, Number, Number, Out)
ACLNN(ArgMax, (ExtremeAlong<true, -1, 0>), "self dimension keep_dims out", In, int64_t, bool, Out)
ACLNN(BatchMatMul, MatrixProduct, "self mat2 out cube_math_type", In, In, Out, int8_t)
ACLNN(BitwiseAndScalar, Binary<BitwiseAnd>, "self other out", In, Number, Out)
ACLNN(BitwiseAndTensor, Binary<BitwiseAnd>, "self other out", In, In, Out)
ACLNN(BitwiseNot, BitwiseInverse, "self out", In, Out)
ACLNN(BitwiseOrScalar, Binary<BitwiseOr>, "self other out", In, Number, Out)
ACLNN(BitwiseOrTensor, Binary<BitwiseOr>, "self other out", In, In, Out)
ACLNN(BitwiseXorScalar, Binary<BitwiseXor>, "self other out", In, Number, Out)
ACLNN(BitwiseXorTensor, Binary<BitwiseXor>, "self other out", In, In, Out)
ACLNN(Cast, Cast, "self dst_type out", In, int, Out)
ACLNN(Cat, Concat, "tensors concat_dim out", List, int64_t, Out)
ACLNN(Ceil, Unary<Ceil>, "self out", In, Out)
ACLNN(Clamp, Clamp, "self min? max? out", In, Number, Number, Out)
ACLNN(ClampMin, Binary<Maximum>, "self min out", In, Number, Out)
ACLNN(Div, Binary<Div>, "self other out", In, In, Out)
ACLNN(DivMod, Divide, "self other mode out", In, In, int, Out)
ACLNN(DivMods, Divide, "self other mode out", In, Number, int, Out)
ACLNN(Divs, Binary<Div>, "self other out", In, Number, Out)
ACLNN(EqScalar, Compare<Equal>, "self other out", In, Number, Out)
ACLNN(EqTensor, Compare<Equal>, "self other out", In, In, Out)
ACLNN(Equal, AllEqual, "self other out", In, In, Out)
ACLNN(Exp, Unary<Exp>, "self out", In, Out)
ACLNN(Floor, Unary<Floor>, "self out", In, Out)
ACLNN(FloorDivide, Binary<FloorDiv>, "self other out", In, In, Out)
ACLNN(FloorDivides, Binary<FloorDiv>, "self other out", In, Number, Out)
ACLNN(Gather, GatherAlong, "self dim index out", In, int64_t, In, Out)
ACLNN(GeScalar, Compare<GreaterEqual>, "self other out", In, Number, Out)
ACLNN(GeTensor, Compare<GreaterEqual>, "self other out", In, In, Out)
ACLNN(GtScalar, Compare<Greater>, "self other out", In, Number, Out)
ACLNN(GtTensor, Compare<Greater>, "self other out", In, In, Out)
ACLNN(Index, Index, "self indices out", In, List, Out)
ACLNN(IndexPutImpl, IndexPut, "selfRef indices values accumulate unsafe", Ref, List, In, bool, bool)
ACLNN(IndexSelect, Take, "self axis index out", In, int64_t, In, Out)
ACLNN(InplaceAdd, Binary<Add>, "selfRef other alpha?", Ref, In, Number)
ACLNN(InplaceAdds, Binary<Add>, "selfRef other alpha?", Ref, Number, Number)
ACLNN(InplaceCopy, CopyInto, "selfRef src", Ref, In)
ACLNN(InplaceDiv, Binary<Div>, "selfRef other", Ref, In)
ACLNN(InplaceDivs, Binary<Div>, "selfRef other", Ref, Number)
ACLNN(InplaceFillScalar, FillInto, "selfRef value", Ref, Number)
ACLNN(InplaceMaskedFillScalar, MaskedFill, "selfRef mask value", Ref, In, Number)
ACLNN(InplaceMaskedFillTensor, MaskedFill, "selfRef mask value", Ref, In, In)
ACLNN(InplaceMul, Binary<Mul>, "selfRef other", Ref, In)
ACLNN(InplaceMuls, Binary<Mul>, "selfRef other", Ref, Number)
ACLNN(InplaceNormal, NormalInto, "selfRef mean std seed offset", Ref, float, float, int64_t, int64_t)
ACLNN(InplaceNormalTensor, NormalInto, "selfRef mean std seed offset more", Ref, float, float, In, In, int64_t)
ACLNN(InplaceOne, FilledLike<1>, "selfRef", Ref)
ACLNN(InplaceRandom, RandomInto, "selfRef from to seed offset", Ref, int64_t, int64_t, int64_t, int64_t)
ACLNN(InplaceRandomTensor, RandomInto, "selfRef from to seed offset more", Ref, int64_t, int64_t, In, In, int64_t)
ACLNN(InplaceScatter, ScatterAlong, "selfRef axis index src reduction", Ref, int64_t, In, In, Reduction)
ACLNN(InplaceScatterValue, ScatterAlong, "selfRef axis index value reduction", Ref, int64_t, In, Number, Reduction)
ACLNN(InplaceSub, Binary<Sub>, "selfRef other alpha?", Ref, In, Number)
ACLNN(InplaceSubs, Binary<Sub>, "selfRef other alpha?", Ref, Number, Number)
ACLNN(InplaceUniform, UniformInto, "selfRef from to seed offset", Ref, double, double, uint64_t, uint64_t)
ACLNN(InplaceUniformTensor, UniformInto, "selfRef from to seed offset more", Ref, double, double, In, In, uint64_t)
ACLNN(InplaceZero, FilledLike<0>, "selfRef", Ref)
ACLNN(IsClose, IsClose, "self other rtol atol equal_nan out", In, In, double, double, bool, Out)
ACLNN(IsFinite, Unary<IsFinite>, "self out", In, Out)
ACLNN(LeScalar, Compare<LessEqual>, "self other out", In, Number, Out)
ACLNN(LeTensor, Compare<LessEqual>, "self other out", In, In, Out)
ACLNN(Log, Unary<Ln>, "self out", In, Out)
ACLNN(LogicalAnd, Compare<LogicalAnd>, "self other out", In, In, Out)
ACLNN(LogicalNot, Unary<LogicalNot>, "self out", In, Out)
ACLNN(LogicalOr, Compare<LogicalOr>, "self other out", In, In, Out)
ACLNN(LtScalar, Compare<Less>, "self other out", In, Number, Out)
ACLNN(LtTensor, Compare<Less>, "self other out", In, In, Out)
ACLNN(MaskedSelect, MaskedSelect, "self mask out", In, In, Out)
ACLNN(Matmul, MatrixProduct, "self mat2 out cube_math_type", In, In, Out, int8_t)
ACLNN(Max, ReduceAlong<Max>, "self out", In, Out)
ACLNN(MaxDim, (ExtremeAlong<true, 0, 1>), "self dimension keep_dims out indices", In, int64_t, bool, Out, Out)
ACLNN(Maximum, Binary<Maximum>, "self other out", In, In, Out)
ACLNN(Mean, ReduceAlong<Mean>, "self axes keep_dims dtype out", In, Ints, bool, int, Out)
ACLNN(Min, ReduceAlong<Min>, "self out", In, Out)
ACLNN(MinDim, (ExtremeAlong<false, 0, 1>), "self dimension keep_dims out indices", In, int64_t, bool, Out, Out)
ACLNN(Minimum, Binary<Minimum>, "self other out", In, In, Out)
ACLNN(Mm, MatrixProduct, "self mat2 out cube_math_type", In, In, Out, int8_t)
ACLNN(MoeGatingTopK, MoeGatingTopK,
      "x bias? k k_group group_count group_select_mode renorm norm_type out_flag routed_scaling_factor eps y "
      "expert_idx out",
      In, In, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, double, double, Out, Out, Out)
ACLNN(MoeGatingTopKSoftmaxV2, MoeGatingTopKSoftmaxV2,
      "x finished? k renorm output_softmax_result_flag y expert_idx softmax_result?", In, In, int64_t, int64_t, bool,
      Out, Out, Out)
ACLNN(MoeGatingTopKV2, MoeGatingTopK,
      "x bias? input_ids? tid2eid? k k_group group_count group_select_mode renorm norm_type out_flag "
      "routed_scaling_factor eps y expert_idx out",
      In, In, In, In, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, double, double, Out, Out, Out)
ACLNN(Mul, Binary<Mul>, "self other out", In, In, Out)
ACLNN(Muls, Binary<Mul>, "self other out", In, Number, Out)
ACLNN(NeScalar, Compare<NotEqual>, "self other out", In, Number, Out)
ACLNN(NeTensor, Compare<NotEqual>, "self other out", In, In, Out)
ACLNN(Neg, Unary<Neg>, "self out", In, Out)
ACLNN(Nonzero, Nonzero<false>, "self out", In, Out)
ACLNN(NonzeroV2, Nonzero<true>, "self out", In, Out)
ACLNN(PowTensorScalar, Binary<Pow>, "self exponent out", In, Number, Out)
ACLNN(Reciprocal, Unary<Reciprocal>, "self out", In, Out)
ACLNN(ReduceSum, ReduceAlong<Sum>, "self axes keep_dims dtype out", In, Ints, bool, int, Out)
ACLNN(RemainderTensorScalar, Binary<Remainder>, "self other out", In, Number, Out)
ACLNN(RemainderTensorTensor, Binary<Remainder>, "self other out", In, In, Out)
ACLNN(Rsubs, ReverseSub, "self other alpha? out", In, Number, Number, Out)
ACLNN(SWhere, Where, "condition self other out", In, In, In, Out)
ACLNN(Scatter, ScatterAlong, "self axis index src reduction out", In, int64_t, In, In, Reduction, Out)
ACLNN(ScatterAdd, ScatterSum, "self axis index src out", In, int64_t, In, In, Out)
ACLNN(ScatterValue, ScatterAlong, "self axis index value reduction out", In, int64_t, In, Number, Reduction, Out)
ACLNN(Sigmoid, Unary<Sigmoid>, "self out", In, Out)
ACLNN(SigmoidBackward, Binary<SigmoidGradient>, "gradient y out", In, In, Out)
ACLNN(Silu, Unary<Silu>, "self out", In, Out)
ACLNN(Softmax, SoftmaxAlong, "self axes out", In, int64_t, Out)
ACLNN(SoftmaxBackward, SoftmaxGradient, "gradient y axis out", In, In, int64_t, Out)
ACLNN(Sort, Sort, "self stable axis descending values indices", In, bool, int64_t, bool, Out, Out)
ACLNN(Sqrt, Unary<Sqrt>, "self out", In, Out)
ACLNN(Stack, Pack, "tensors axis out", List, int64_t, Out)
ACLNN(Sub, Binary<Sub>, "self other alpha? out", In, In, Number, Out)
ACLNN(Subs, Binary<Sub>, "self other alpha? out", In, Number, Number, Out)
ACLNN(Topk, TopKAlong, "self k dim largest sorted values indices", In, int64_t, int64_t, bool, bool, Out, Out)
