// One aclnn call between its two phases: the first describes and checks it, the second puts it on a stream.
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
  host_cann::View view;                // data is the address on the device
};
struct Scalar {
  double value;
  int64_t integer;
  host_cann::DType dtype;
};
struct IntArray {
  std::vector<int64_t> values;
};

namespace host_cann {

constexpr int kNullPointer = 161001;   // ACLNN_ERR_PARAM_NULLPTR
constexpr int kBadParam = 161002;      // ACLNN_ERR_PARAM_INVALID: a dtype or a shape
constexpr int kBadTiling = 561002;     // ACLNN_ERR_INNER_TILING_ERROR

using Views = std::vector<std::optional<View>>;  // without a value: an optional tensor that was not given

class Call {
 public:
  explicit Call(const char *name) : name_(name) {}

  void In(const char *name, const Tensor *tensor) { inputs_.emplace_back(name, Described(tensor)); }
  void Out(const char *name, const Tensor *tensor) { outputs_.emplace_back(name, Described(tensor)); }
  template <class T>
  void Attribute(const char *name, T value) { attributes_.emplace_back(name, Json(value)); }

  // The work on the host's views of the inputs and outputs, in the order in which they were named.
  std::function<int(const Views &, const Views &)> run;

  int Launch(void *stream_handle);
  int NullPointer(const char *argument) const;
  int Invalid(int code, const std::string &why) const;

 private:
  using Operands = std::vector<std::pair<std::string, std::optional<View>>>;

  static std::optional<View> Described(const Tensor *tensor) {
    return tensor == nullptr ? std::nullopt : std::optional<View>(tensor->view);
  }
  int Resolve(const Operands &operands, Views *views) const;
  int Execute(int device, uint64_t stream) const;

  std::string name_;
  Operands inputs_, outputs_;
  std::vector<std::pair<std::string, std::string>> attributes_;
};

}  // namespace host_cann
