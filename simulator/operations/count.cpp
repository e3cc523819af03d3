// Operations that count, and that repeat by a count.
#include <algorithm>
#include <numeric>

#include "indexing.h"
#include "operations.h"

namespace host_cann::operations {
namespace {

void DemandIntegers(const View &view, const char *name) {
  if (ArithmeticOf(view.dtype) != Arithmetic::kInteger || view.dtype == DType::kBool)
    Invalid(std::string(name) + " is " + DTypeName(view.dtype));
}

}  // namespace

// on_value where a place of the new dimension is the class that x names, elsewhere off_value; of a class outside,
// nowhere.
void OneHot(Call &call) {
  const View &classes = call.In(0);
  const int64_t depth = call.Integer("depth");
  DemandIntegers(classes, "x");
  if (depth < 0) Invalid("depth is " + std::to_string(depth));
  auto sizes = classes.sizes;
  const auto axis = static_cast<size_t>(Dimension(call.Integer("axis", -1), sizes.size() + 1));
  sizes.insert(sizes.begin() + static_cast<int64_t>(axis), depth);
  call.Out(call.In(1).dtype, sizes);
  call.work = [axis, depth](const Views &in, Views &out) {
    const auto alone = [](const View &number) { return Contiguous(number.data, number.dtype, {}); };
    const auto classes = Values<int64_t>(in[0]);
    std::vector<int64_t> chosen(classes.size());
    View slice = Without(out[0], axis, 1);
    for (int64_t place = 0; place < depth; ++place) {
      WithArithmetic(ArithmeticOf(out[0].dtype), [&](auto zero) {
        using T = decltype(zero);
        const T on = Values<T>(alone(in[1]))[0], off = Values<T>(alone(in[2]))[0];
        std::vector<T> values(classes.size());
        for (size_t i = 0; i < values.size(); ++i) values[i] = classes[i] == place ? on : off;
        Copy(Over(values, slice.sizes), slice);
      });
      slice.data += out[0].strides[axis] * ElementSize(slice.dtype);
    }
  };
}

// How often each number is in x, or the sum of its weights. The caller has asked how large the numbers are.
void BinCount(Call &call) {
  const View &x = call.In(0);
  DemandIntegers(x, "self");
  if (x.sizes.size() != 1) Invalid("self is " + Sizes(x.sizes) + ", not one dimension");
  if (call.Has(1) && call.In(1).sizes != x.sizes)
    Invalid("weights is " + Sizes(call.In(1).sizes) + ", self is " + Sizes(x.sizes));
  const auto &out = call.outputs[0].view;
  if (out.sizes.size() != 1 || out.sizes[0] < call.Integer("minlength"))
    Invalid("out is " + Sizes(out.sizes) + ", less than minlength " + std::to_string(call.Integer("minlength")));
  call.Out(out.dtype, out.sizes);
  call.work = [](const Views &in, Views &out) {
    const auto numbers = Values<int64_t>(in[0]);
    const auto weights = Optional(in, 1).given() ? Values<double>(in[1]) : std::vector<double>(numbers.size(), 1);
    std::vector<double> sums(static_cast<size_t>(out[0].count()), 0);
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] < 0) Invalid("self has the negative number " + std::to_string(numbers[i]), kIndexOutside);
      sums[static_cast<size_t>(Inside(numbers[i], out[0].count()))] += weights[i];
    }
    Copy(Over(sums, out[0].sizes), out[0]);
  };
}

// Each slice of x along dim (each element of a flat x without it) as often as repeats says of it. Without x, 0, 1, ...
void RepeatElements(Call &call) {
  const bool counting = call.inputs[0].name == "repeats";
  const View &x = call.In(0);
  const bool each = call.inputs.back().name == "repeats";
  const auto given = each ? std::vector<int64_t>{} : call.Integers("repeats");
  const auto flat = [](const View &view) { return std::vector<int64_t>{view.count()}; };
  const bool along = std::any_of(call.attributes.begin(), call.attributes.end(),
                                 [](const auto &attribute) { return attribute.first == "dim"; });
  auto sizes = along ? x.sizes : flat(x);
  const auto dim = static_cast<size_t>(along ? Dimension(call.Integer("dim"), sizes.size()) : 0);
  if (sizes.empty()) sizes = {1};
  const int64_t length = sizes[dim];
  if (each) DemandIntegers(call.inputs.back().view, "repeats");
  if (each && call.inputs.back().view.count() != 1 && call.inputs.back().view.sizes != std::vector<int64_t>{length})
    Invalid("repeats is " + Sizes(call.inputs.back().view.sizes) + ", not one number or " + std::to_string(length));
  const auto from = sizes;
  sizes[dim] = call.Integer("output_size");
  if (!each && (given[0] < 0 || sizes[dim] != length * given[0]))
    Invalid("output_size " + std::to_string(sizes[dim]) + " is not " + std::to_string(given[0]) + " times " +
            std::to_string(length));
  call.Out(counting ? DType::kInt64 : x.dtype, sizes);
  call.work = [=](const Views &in, Views &out) {
    const auto repeats = each ? Values<int64_t>(in.back()) : given;
    std::vector<int64_t> places;
    for (int64_t i = 0; i < length; ++i) {
      const int64_t count = repeats[repeats.size() == 1 ? 0 : static_cast<size_t>(i)];
      if (count < 0) Invalid("repeats has the negative number " + std::to_string(count), kIndexOutside);
      places.insert(places.end(), static_cast<size_t>(count), i);
    }
    if (static_cast<int64_t>(places.size()) != out[0].sizes[dim])
      Invalid(
          "repeats make " + std::to_string(places.size()) + ", not output_size " + std::to_string(out[0].sizes[dim]),
          kIndexOutside);
    if (counting) return Copy(Over(places, out[0].sizes), out[0]);
    WithArithmetic(ArithmeticOf(in[0].dtype), [&](auto zero) {
      const auto values = Values<decltype(zero)>(in[0]);
      View slice = Without(Over(values, from), dim, 1), place = Without(out[0], dim, 1);
      const auto *first = slice.data;
      const int64_t step = ContiguousStrides(from)[dim] * static_cast<int64_t>(sizeof(zero));
      for (const auto at : places) {
        slice.data = const_cast<uint8_t *>(first) + at * step;
        Copy(slice, place);
        place.data += out[0].strides[dim] * ElementSize(place.dtype);
      }
    });
  };
}

// The sum of the elements up to each one along axis.
void CumulativeSum(Call &call) {
  const View &x = call.In(0);
  const int64_t dim = Dimension(call.Integer("axis"), x.sizes.size());
  call.Out(static_cast<DType>(call.Integer("dtype", static_cast<int64_t>(x.dtype))), x.sizes);
  call.work = [dim](const Views &in, Views &out) {
    const View rows = RowsAlong(in[0], dim);
    const auto length = static_cast<size_t>(rows.sizes.back());
    const bool exact = ArithmeticOf(ArithmeticOf(in[0].dtype), out[0]) == Arithmetic::kInteger;
    WithArithmetic(exact ? Arithmetic::kInteger : Arithmetic::kDouble, [&](auto zero) {
      auto values = Values<decltype(zero)>(rows);
      for (size_t i = 0; i < values.size(); ++i) {
        if (i % length != 0) values[i] = Add::of(values[i], values[i - 1]);
      }
      Copy(Over(values, rows.sizes), RowsAlong(out[0], dim));
    });
  };
}

}  // namespace host_cann::operations
