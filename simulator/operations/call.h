// A call of an operation, whichever door it came in by: an aclnn call, or a node of a graph. The operation reads the
// operands and attributes that it was given, and says what the results are and how to compute them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "entry_point.h"
#include "launch.h"
#include "tensor.h"

struct Tensor {          // behind aclTensor *
  host_cann::View view;  // data is the address on the device
};
struct Scalar {  // behind aclScalar *
  double value;
  int64_t integer;
  host_cann::DType dtype;
};
struct TensorList {
  std::vector<const Tensor *> tensors;
};
struct IntArray {
  std::vector<int64_t> values;
};

namespace host_cann {

// The sizes depend on a value that only the device has, which is not supported, or that a run will bring.
constexpr int kNeedsValue = kNotSupported;

struct Constant {  // a tensor of the graph itself
  std::shared_ptr<std::string> bytes;
  View view;
};
using Attribute = std::variant<int64_t, bool, double, std::string, std::vector<int64_t>, Constant>;
using Attributes = std::vector<std::pair<std::string, Attribute>>;
std::vector<double> NumbersOf(const Attribute &attribute);  // none of a text or a tensor

struct Operand {
  std::string name;
  View view;                                 // its data an address on the device, unless
  bool on_host = false;                      //
  bool known = false;                        // it is there already, on the host: its value may decide sizes
  bool read = true;                          // false: only its sizes matter
  std::shared_ptr<Scalar> number = nullptr;  // of an aclnn call's argument that is a number
  Tensor *described = nullptr;               // of an aclnn call's output
};

// Of the inputs and outputs, in their order, on the host. Only a work that finds out how many elements there are
// changes the sizes of an output.
using Views = std::vector<View>;
View Optional(const Views &views, size_t place);  // not given where there are fewer
using Work = std::function<void(const Views &, Views &)>;

struct Result {
  DType dtype;
  std::vector<int64_t> sizes;
  bool exact;  // no conversion to another dtype that the caller may want
};

struct Call : Launched {
  Call(const char *kind, std::string name) : Launched{kind, std::move(name)} {}

  std::vector<Operand> inputs, outputs;
  Attributes attributes;
  bool promotes = false;  // operands of two dtypes are what the caller may give
  std::vector<Result> results;
  Work work;

  const View &In(size_t input) const { return inputs[input].view; }
  bool Has(size_t input) const { return input < inputs.size() && In(input).given(); }
  void Out(DType dtype, std::vector<int64_t> sizes) { results.push_back({dtype, std::move(sizes), false}); }
  void OutExactly(DType dtype, std::vector<int64_t> sizes) { results.push_back({dtype, std::move(sizes), true}); }

  // A parameter is an attribute, or an input whose value is known.
  std::vector<int64_t> Integers(const char *parameter) const;  // without it, none
  int64_t Integer(const char *parameter, int64_t otherwise = 0) const;
  double Real(const char *parameter, double otherwise) const;
  std::string Text(const char *parameter, const char *otherwise) const;

  void Execute(const Stream &on) const;  // on the stream's worker
};

[[noreturn]] void Invalid(const std::string &why, int code = kBadParam);
void DemandContiguous(const Operand &operand);
// A known dtype, and sizes that are not negative; as bytes, sizes of 0 counted as 1, no more than a device has.
void DemandTensor(const View &view);
void DemandNumber(const Operand &operand);         // of one element
void DemandLogits(const char *name, DType dtype);  // float32, float16 or bfloat16

// What a table says about a parameter: "name"; "name?" is optional, "name!" required, "name-" not implemented, "name*"
// any number of them, and of "name=1" only this value is implemented.
struct Parameter {
  std::string name, value;
  char mark = ' ';
};
std::vector<Parameter> Parameters(const char *names);
bool HasName(const std::vector<Parameter> &parameters, const std::string &name);

}  // namespace host_cann
