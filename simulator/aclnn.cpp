// The aclnn operations: a line of the table makes the two entry points of an operation, whose first phase describes and
// checks a call and whose second puts it on a stream.
#include <string>

#include "aclnn_operations.h"
#include "export.h"
#include "faults.h"
#include "refuse.h"

namespace host_cann {
namespace {

template <class Describe>
int FirstPhase(const char *name, uint64_t *workspace, Call **executor, const Describe &describe) {
  if (workspace == nullptr || executor == nullptr)
    return Fail(kNullPointer, std::string(name) + ": no place for the result");
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

using namespace host_cann;         // NOLINT: the entry points are this file's other half
using namespace host_cann::aclnn;  // NOLINT

// Numbered parameters and arguments for up to 16 types.
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
#define P14(t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, ...) \
  t1 a14, t2 a13, t3 a12, t4 a11, t5 a10, t6 a9, t7 a8, t8 a7, t9 a6, t10 a5, P4(__VA_ARGS__)
#define P16(t1, t2, ...) t1 a16, t2 a15, P14(__VA_ARGS__)
#define A1 a1
#define A2 a2, A1
#define A3 a3, A2
#define A4 a4, A3
#define A5 a5, A4
#define A6 a6, A5
#define A7 a7, A6
#define A8 a8, A7
#define A14 a14, a13, a12, a11, a10, a9, a8, a7, a6, a5, A4
#define A16 a16, a15, A14
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#define ACLNN(name, implementation, ...)                                                                  \
  EXPORT int aclnn##name##GetWorkspaceSize(JOIN(P, COUNT(__VA_ARGS__))(__VA_ARGS__), uint64_t *workspace, \
                                           Call **executor) {                                             \
    return FirstPhase("aclnn" #name, workspace, executor,                                                 \
                      [&](Call &call) { return implementation(call, JOIN(A, COUNT(__VA_ARGS__))); });     \
  }                                                                                                       \
  EXPORT int aclnn##name(void *, uint64_t, Call *executor, void *stream) { return SecondPhase(executor, stream); }

ACLNN(Abs, One<Abs>, In, Out)
ACLNN(Add, Scaled<Add>, In, In, Value, Out)
ACLNN(Addmm, AddMatrices, In, In, In, Value, Value, Out, int8_t)
ACLNN(Adds, ScaledNumber<Add>, In, Value, Value, Out)
ACLNN(All, Along<All>, In, Ints, bool, Out)
ACLNN(Amax, Along<Max>, In, Ints, bool, Out)
ACLNN(Amin, Along<Min>, In, Ints, bool, Out)
ACLNN(Any, Along<Any>, In, Ints, bool, Out)
ACLNN(Arange, Arange, Value, Value, Value, Out)
ACLNN(ArgMax, ArgMax, In, int64_t, bool, Out)
ACLNN(BatchMatMul, MatrixProduct, In, In, Out, int8_t)
ACLNN(BitwiseAndScalar, WithNumber<BitwiseAnd>, In, Value, Out)
ACLNN(BitwiseAndTensor, Two<BitwiseAnd>, In, In, Out)
ACLNN(BitwiseNot, Inverse, In, Out)
ACLNN(BitwiseOrScalar, WithNumber<BitwiseOr>, In, Value, Out)
ACLNN(BitwiseOrTensor, Two<BitwiseOr>, In, In, Out)
ACLNN(BitwiseXorScalar, WithNumber<BitwiseXor>, In, Value, Out)
ACLNN(BitwiseXorTensor, Two<BitwiseXor>, In, In, Out)
ACLNN(Cast, Cast, In, int, Out)
ACLNN(Cat, Cat, List, int64_t, Out)
ACLNN(Ceil, One<Ceil>, In, Out)
ACLNN(Clamp, Clamp, In, Value, Value, Out)
ACLNN(ClampMin, WithNumber<Maximum>, In, Value, Out)
ACLNN(Div, Two<Div>, In, In, Out)
ACLNN(DivMod, DivMode, In, In, int, Out)
ACLNN(DivMods, DivModeNumber, In, Value, int, Out)
ACLNN(Divs, WithNumber<Div>, In, Value, Out)
ACLNN(EqScalar, WithNumber<Equal>, In, Value, Out)
ACLNN(EqTensor, Two<Equal>, In, In, Out)
ACLNN(Equal, Equals, In, In, Out)
ACLNN(Exp, One<Exp>, In, Out)
ACLNN(Floor, One<Floor>, In, Out)
ACLNN(FloorDivide, Two<FloorDiv>, In, In, Out)
ACLNN(FloorDivides, WithNumber<FloorDiv>, In, Value, Out)
ACLNN(Gather, GatherAlong, In, int64_t, In, Out)
ACLNN(GeScalar, WithNumber<GreaterEqual>, In, Value, Out)
ACLNN(GeTensor, Two<GreaterEqual>, In, In, Out)
ACLNN(GtScalar, WithNumber<Greater>, In, Value, Out)
ACLNN(GtTensor, Two<Greater>, In, In, Out)
ACLNN(Index, IndexBy, In, List, Out)
ACLNN(IndexPutImpl, IndexPut, Out, List, In, bool, bool)
ACLNN(IndexSelect, TakeSlices, In, int64_t, In, Out)
ACLNN(InplaceAdd, ScaledInPlace<Add>, Out, In, Value)
ACLNN(InplaceAdds, ScaledNumberInPlace<Add>, Out, Value, Value)
ACLNN(InplaceCopy, InplaceCopy, Out, In)
ACLNN(InplaceDiv, InPlace<Div>, Out, In)
ACLNN(InplaceDivs, NumberInPlace<Div>, Out, Value)
ACLNN(InplaceFillScalar, Fill, Out, Value)
ACLNN(InplaceMaskedFillScalar, MaskedFillNumber, Out, In, Value)
ACLNN(InplaceMaskedFillTensor, MaskedFill, Out, In, In)
ACLNN(InplaceMul, InPlace<Mul>, Out, In)
ACLNN(InplaceMuls, NumberInPlace<Mul>, Out, Value)
ACLNN(InplaceNormal, Normal, Out, Float, Float, int64_t, int64_t)
ACLNN(InplaceOne, One_, Out)
ACLNN(InplaceRandom, RandomIntegers, Out, int64_t, int64_t, int64_t, int64_t)
ACLNN(InplaceScatter, ScatterInPlace, Out, int64_t, In, In, int64_t)
ACLNN(InplaceScatterValue, ScatterNumberInPlace, Out, int64_t, In, Value, int64_t)
ACLNN(InplaceSub, ScaledInPlace<Sub>, Out, In, Value)
ACLNN(InplaceSubs, ScaledNumberInPlace<Sub>, Out, Value, Value)
ACLNN(InplaceUniform, Uniform, Out, double, double, uint64_t, uint64_t)
ACLNN(InplaceZero, Zero, Out)
ACLNN(IsClose, IsClose, In, In, double, double, bool, Out)
ACLNN(IsFinite, One<IsFinite>, In, Out)
ACLNN(LeScalar, WithNumber<LessEqual>, In, Value, Out)
ACLNN(LeTensor, Two<LessEqual>, In, In, Out)
ACLNN(Log, One<Ln>, In, Out)
ACLNN(LogicalAnd, Two<LogicalAnd>, In, In, Out)
ACLNN(LogicalNot, One<LogicalNot>, In, Out)
ACLNN(LogicalOr, Two<LogicalOr>, In, In, Out)
ACLNN(LtScalar, WithNumber<Less>, In, Value, Out)
ACLNN(LtTensor, Two<Less>, In, In, Out)
ACLNN(MaskedSelect, MaskedSelect, In, In, Out)
ACLNN(Matmul, MatrixProduct, In, In, Out, int8_t)
ACLNN(Max, Whole<Max>, In, Out)
ACLNN(MaxDim, Extreme<true>, In, int64_t, bool, Out, Out)
ACLNN(Maximum, Two<Maximum>, In, In, Out)
ACLNN(Mean, Mean, In, Ints, bool, int, Out)
ACLNN(Min, Whole<Min>, In, Out)
ACLNN(MinDim, Extreme<false>, In, int64_t, bool, Out, Out)
ACLNN(Minimum, Two<Minimum>, In, In, Out)
ACLNN(Mm, MatrixProduct, In, In, Out, int8_t)
ACLNN(MoeGatingTopK, MoeGatingTopK, In, In, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, double, double,
      Out, Out, Out)
ACLNN(MoeGatingTopKSoftmaxV2, MoeGatingTopKSoftmaxV2, In, In, int64_t, int64_t, bool, Out, Out, Out)
ACLNN(MoeGatingTopKV2, MoeGatingTopKV2, In, In, In, In, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool,
      double, double, Out, Out, Out)
ACLNN(Mul, Two<Mul>, In, In, Out)
ACLNN(Muls, WithNumber<Mul>, In, Value, Out)
ACLNN(NeScalar, WithNumber<NotEqual>, In, Value, Out)
ACLNN(NeTensor, Two<NotEqual>, In, In, Out)
ACLNN(Neg, One<Neg>, In, Out)
ACLNN(Nonzero, Nonzero, In, Out)
ACLNN(NonzeroV2, NonzeroV2, In, Out)
ACLNN(PowTensorScalar, WithNumber<Pow>, In, Value, Out)
ACLNN(Reciprocal, One<Reciprocal>, In, Out)
ACLNN(ReduceSum, AlongAs<Sum>, In, Ints, bool, int, Out)
ACLNN(RemainderTensorScalar, WithNumber<Remainder>, In, Value, Out)
ACLNN(RemainderTensorTensor, Two<Remainder>, In, In, Out)
ACLNN(Rsubs, NumberFirst<Sub>, In, Value, Value, Out)
ACLNN(SWhere, SelectWhere, In, In, In, Out)
ACLNN(Scatter, ScatterTo, In, int64_t, In, In, int64_t, Out)
ACLNN(ScatterValue, ScatterNumberTo, In, int64_t, In, Value, int64_t, Out)
ACLNN(Sigmoid, One<Sigmoid>, In, Out)
ACLNN(Silu, One<Silu>, In, Out)
ACLNN(Softmax, Softmax, In, int64_t, Out)
ACLNN(Sort, Sort, In, bool, int64_t, bool, Out, Out)
ACLNN(Sqrt, One<Sqrt>, In, Out)
ACLNN(Stack, Stack, List, int64_t, Out)
ACLNN(Sub, Scaled<Sub>, In, In, Value, Out)
ACLNN(Subs, ScaledNumber<Sub>, In, Value, Value, Out)
ACLNN(Topk, TopK, In, int64_t, int64_t, bool, bool, Out, Out)
