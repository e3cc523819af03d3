// Torch's stable C interface, as far as a CPU kernel needs it: built without torch's headers, found at run time in the
// torch that is loaded. torch/csrc/inductor/aoti_torch/c/shim.h documents the functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace shim {

using Word = uint64_t;  // a value on the dispatcher's stack
using Handle = void *;  // a tensor
using Kernel = void (*)(Word *stack, Word inputs, Word outputs);

struct Torch {
  int (*library_init_impl)(const char *, const char *, const char *, uint32_t, void **);
  int (*library_impl)(void *, const char *, Kernel);
  int (*get_data_ptr)(Handle, void **);
  int (*get_dim)(Handle, int64_t *);
  int (*get_sizes)(Handle, int64_t **);
  int (*get_strides)(Handle, int64_t **);
  int (*get_dtype)(Handle, int32_t *);
  int (*empty_strided)(int64_t, const int64_t *, const int64_t *, int32_t, int32_t, int32_t, Handle *);
  int (*delete_tensor)(Handle);
  int (*parallel_for)(int64_t, int64_t, int64_t, void (*)(int64_t, int64_t, void *), void *);  // null before torch 2.10
  int (*max_threads)();                                                                        // or null
  int32_t cpu, float32, float16, bfloat16, int32, int64;
};

extern Torch torch;  // filled in by load()

// False when the torch that is loaded lacks some of the interface.
bool load();

inline void demand(int status, const char *what) {
  if (status != 0) throw std::runtime_error(std::string(what) + " of torch failed in npu_moe_gating_top_k");
}

class Tensor {
 public:
  explicit Tensor(Handle handle = nullptr) : handle_(handle) {}
  Tensor(Tensor &&other) : handle_(other.release()) {}
  ~Tensor() {
    if (handle_ != nullptr) torch.delete_tensor(handle_);
  }
  explicit operator bool() const { return handle_ != nullptr; }
  Handle release() { return std::exchange(handle_, nullptr); }

  int64_t dim() const { return get<int64_t>(torch.get_dim); }
  const int64_t *sizes() const { return get<int64_t *>(torch.get_sizes); }
  const int64_t *strides() const { return get<int64_t *>(torch.get_strides); }
  int32_t dtype() const { return get<int32_t>(torch.get_dtype); }
  void *data() const { return get<void *>(torch.get_data_ptr); }

 private:
  template <class Value>
  Value get(int (*getter)(Handle, Value *)) const {
    Value value{};
    demand(getter(handle_, &value), "a tensor getter");
    return value;
  }

  Handle handle_;
};

inline Tensor empty(int64_t rows, int64_t columns, int32_t dtype) {
  const int64_t sizes[] = {rows, columns}, strides[] = {std::max<int64_t>(columns, 1), 1};
  Handle handle = nullptr;
  demand(torch.empty_strided(2, sizes, strides, dtype, torch.cpu, 0, &handle), "empty_strided");
  return Tensor(handle);
}

// The arguments on the stack, in the order of the schema. What is a tensor is owned by whoever reads it.
class Arguments {
 public:
  explicit Arguments(const Word *stack) : next_(stack) {}
  Tensor tensor() { return Tensor(reinterpret_cast<Handle>(*next_++)); }
  Tensor optional_tensor() {
    const auto *boxed = reinterpret_cast<Word *>(*next_++);
    Tensor value(boxed == nullptr ? nullptr : reinterpret_cast<Handle>(*boxed));
    delete boxed;
    return value;
  }
  int64_t integer() { return static_cast<int64_t>(*next_++); }
  bool boolean() { return (*next_++ & 0xff) != 0; }
  double number() {
    double value;
    std::memcpy(&value, next_++, sizeof value);
    return value;
  }

 private:
  const Word *next_;
};

}  // namespace shim
