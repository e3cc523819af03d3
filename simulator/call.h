// One operation between its description, which checks it, and its run on a stream: an aclnn call, or a node of a graph.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "log.h"
#include "tensor.h"

// The objects behind aclTensor*, aclScalar* and aclIntArray*; CANN's callers see only pointers.
struct Tensor {
  host_cann::View view;  // data is the address on the device
};
struct Scalar {
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

constexpr int kNullPointer = 161001;  // ACLNN_ERR_PARAM_NULLPTR
constexpr int kBadParam = 161002;     // ACLNN_ERR_PARAM_INVALID: a dtype or a shape
constexpr int kBadTiling = 561002;    // ACLNN_ERR_INNER_TILING_ERROR

using Views = std::vector<std::optional<View>>;  // without a value: an optional tensor that was not given

// The work on the host's views of the inputs and outputs, in the order in which they were named.
using Work = std::function<int(const Views &, const Views &)>;

struct Operand {
  std::string name;
  std::optional<View> view;  // its data an address on the device, unless
  bool on_host = false;
};

class Call {
 public:
  explicit Call(std::string name, const char *kind = "aclnn") : name_(std::move(name)), kind_(kind) {}

  void In(const char *name, const Tensor *tensor) { In({name, Described(tensor)}); }
  void In(Operand operand) { inputs_.push_back(std::move(operand)); }
  void Out(const char *name, const Tensor *tensor) { Out({name, Described(tensor)}); }
  void Out(Operand operand) { outputs_.push_back(std::move(operand)); }
  template <class T>
  void Attribute(const char *name, T value) {
    AttributeJson(name, Json(value));
  }
  void AttributeJson(std::string name, std::string json) { attributes_.emplace_back(std::move(name), std::move(json)); }

  Work run;

  int Launch(void *stream_handle);
  int Execute(int device, uint64_t stream) const;  // on the stream's worker
  int NullPointer(const char *argument) const;
  int Invalid(int code, const std::string &why) const;

 private:
  static std::optional<View> Described(const Tensor *tensor) {
    return tensor == nullptr ? std::nullopt : std::optional<View>(tensor->view);
  }
  int Resolve(const std::vector<Operand> &operands, Views *views) const;

  std::string name_;
  const char *kind_;
  std::vector<Operand> inputs_, outputs_;
  std::vector<std::pair<std::string, std::string>> attributes_;
};

}  // namespace host_cann
