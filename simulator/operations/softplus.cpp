// softplus(x) = log(1 + exp(beta * x)) / beta, but x where beta * x is above the threshold; and its gradient.
#include <cmath>

#include "operations.h"

namespace host_cann::operations {
namespace {

struct Kind {
  double beta, threshold;
  explicit Kind(const Call &call) : beta(call.Real("beta", 1)), threshold(call.Real("threshold", 20)) {}
};

void DemandReal(const View &x) {
  if (ArithmeticOf(x.dtype) == Arithmetic::kInteger) Invalid(std::string("self is ") + DTypeName(x.dtype));
}

}  // namespace

void Softplus(Call &call) {
  DemandReal(call.In(0));
  call.Out(call.In(0).dtype, call.In(0).sizes);
  call.work = [kind = Kind(call)](const Views &in, Views &out) {
    auto values = Values<float>(in[0]);
    for (float &x : values) {
      const double scaled = kind.beta * x;
      if (!(scaled > kind.threshold)) x = static_cast<float>(std::log1p(std::exp(scaled)) / kind.beta);
    }
    Copy(Over(values, out[0].sizes), out[0]);
  };
}

void SoftplusBackward(Call &call) {
  DemandReal(call.In(1));
  if (call.In(0).sizes != call.In(1).sizes) Invalid("gradient and self have two shapes");
  call.Out(call.In(1).dtype, call.In(1).sizes);
  call.work = [kind = Kind(call)](const Views &in, Views &out) {
    auto gradients = Values<float>(in[0]);
    const auto values = Values<float>(in[1]);
    for (size_t i = 0; i < values.size(); ++i) {
      const double scaled = kind.beta * values[i];
      if (!(scaled > kind.threshold)) gradients[i] = static_cast<float>(gradients[i] / (1 + std::exp(-scaled)));
    }
    Copy(Over(gradients, out[0].sizes), out[0]);
  };
}

}  // namespace host_cann::operations
