// aclnn/ is the eager door: a call by aclnn's C interface becomes a call of an operation, put on a stream of the runtime.
// It knows these two, and nothing of graphs.
//
// Here: the two phases of such a call. The first describes and checks it, the second puts it on a stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "call.h"
#include "elementwise.h"

namespace host_cann {

// The parameters of aclnn calls. The first three are aclTensor * in C, the fourth aclTensorList *; they say what the
// operation does with it.
struct In {
  const Tensor *tensor;
};
struct Out {
  Tensor *tensor;
};
struct Ref {  // the first operand, and the result
  Tensor *tensor;
};
struct OutList {
  const TensorList *list;
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
  void Take(const Parameter &parameter, OutList out) {
    Demand(parameter, out.list);
    for (size_t i = 0; i < out.list->tensors.size(); ++i)
      Take({parameter.name + std::to_string(i), "", ' '}, Out{const_cast<Tensor *>(out.list->tensors[i])});
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
void CheckOutputs(const Call &call);

// Of a first phase on torch_npu's launch thread, what was refused is kept for the second phase, which follows it there
// and knows the stream.
int FirstPhaseEnds(int status);

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
  return FirstPhaseEnds(status);
}

// The executor is spent by the launch, as CANN's is.
int SecondPhase(const char *entry_point, Call *executor, void *stream);

}  // namespace host_cann

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

// The two entry points of a call: its name, the operation, the names of its parameters and their types.
#define ACLNN(name, operation, names, ...)                                                                           \
  EXPORT int aclnn##name##GetWorkspaceSize(JOIN(P, COUNT(__VA_ARGS__))(__VA_ARGS__), uint64_t *workspace,            \
                                           host_cann::Call **executor) {                                             \
    static const auto parameters = host_cann::Parameters(names);                                                     \
    return host_cann::FirstPhase(__func__, operation, parameters, workspace, executor, JOIN(A, COUNT(__VA_ARGS__))); \
  }                                                                                                                  \
  EXPORT int aclnn##name(void *, uint64_t, host_cann::Call *executor, void *stream) {                                \
    return host_cann::SecondPhase(__func__, executor, stream);                                                       \
  }
