// A serialised model through the graph door, as torchair takes one: load, add, compile, and a run of small inputs. What is
// refused must be refused in words of the stand-in; anything else ends the process.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../../simulator/graph/ge_api.h"
#include "wire.h"

extern "C" {
int aclInit(const char *);
int aclrtSetDevice(int32_t);
int aclrtMalloc(void **, size_t, int);
int aclrtFree(void *);
int aclrtMemcpy(void *, size_t, const void *, size_t, int);
int aclrtCreateStream(void **);
int aclrtSynchronizeStream(void *);
const char *aclGetRecentErrMsg();
void host_cann_log_start();
const char *host_cann_log_take();
}

namespace fuzz {

[[noreturn]] inline void Fail(const std::string &what, const std::string &text) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), text.c_str());
  std::abort();
}

// Not in the words of C++, unless they are the model's, and not for "no memory": what is too large has to be refused before
// it is asked for.
inline std::string CheckRefusal(const std::string &text, const std::string &model) {
  if (text.empty()) Fail("refused without a word", text);
  for (const char *foreign : {"std::", "vector::", "basic_string", "map::", "no memory", "stoi", "stod"}) {
    const bool own = text.find(foreign) == std::string::npos || model.find(foreign) != std::string::npos;
    if (!own) Fail("refused in words that no user understands", text);
  }
  return text;
}

class Memory : public ge::Allocator {
 public:
  ge::MemBlock *Malloc(size_t bytes) override {
    void *address = nullptr;
    return aclrtMalloc(&address, bytes, 0) == 0 ? new ge::MemBlock(*this, address, bytes) : nullptr;
  }
  void Free(ge::MemBlock *block) override {
    aclrtFree(block->GetAddr());
    delete block;
  }
  ge::MemBlock *MallocAdvise(size_t bytes, void *) override { return Malloc(bytes); }
};

inline void *Stream() {
  static void *stream = [] {
    void *made = nullptr;
    if (aclInit(nullptr) != 0 || aclrtSetDevice(0) != 0 || aclrtCreateStream(&made) != 0)
      Fail("there is no device", aclGetRecentErrMsg());
    ge::Session({}).RegisterExternalAllocator(made, std::make_shared<Memory>());
    host_cann_log_start();
    return made;
  }();
  return stream;
}

struct Element {
  int dtype, bytes;
};

// The dtype of the file as the rest of CANN counts it.
inline Element ElementOf(uint64_t dtype) {
  constexpr Element kElements[] = {{0, 4}, {0, 4}, {1, 2}, {2, 1},  {4, 1},  {6, 2}, {7, 0},
                                   {3, 4}, {9, 8}, {8, 4}, {10, 8}, {12, 1}, {11, 8}};
  return dtype <= 12 ? kElements[dtype] : dtype == 27 ? Element{27, 2} : Element{-1, 0};
}

// An input as its node describes it, unknown sizes 3; its values are small whole numbers, or that as bits of a half. On
// the host or, every other time, on the device. False for one that is too large to be worth it.
inline bool Fill(const std::vector<Field> &description, bool on_device, ge::Tensor *tensor) {
  const auto element = ElementOf(Last(description, 2).value);
  size_t count = 1;
  auto sizes = Integers(Last(description, 3).fields, 1);
  if (sizes.size() > 16 || element.bytes == 0) return false;
  for (auto &size : sizes) {
    if (size < 0) size = 3;
    if (size > 4096 || (count *= static_cast<size_t>(size)) > 4096) return false;
  }
  const size_t bytes = count * static_cast<size_t>(element.bytes);
  auto *data = new uint8_t[bytes + 1]();
  for (size_t i = 0; i < count; ++i) {
    const int number = static_cast<int>(i * 7 % 11 % 4);
    if (element.dtype == 0) {
      const float real = static_cast<float>(number);
      std::memcpy(data + 4 * i, &real, 4);
    } else if (element.dtype == 11) {
      const double real = number;
      std::memcpy(data + 8 * i, &real, 8);
    } else if (element.bytes == 2 && element.dtype != 6) {
      data[2 * i + 1] = static_cast<uint8_t>(0x3c + number);
    } else {
      data[static_cast<size_t>(element.bytes) * i] = static_cast<uint8_t>(number);
    }
  }
  tensor->SetShapeDimNum(sizes.size());
  for (size_t d = 0; d < sizes.size(); ++d) tensor->SetShapeDim(d, sizes[d]);
  tensor->SetDataType(static_cast<ge::DataType>(element.dtype));
  if (!on_device || bytes == 0) {
    tensor->SetData(data, bytes, [](uint8_t *given) { delete[] given; });
    return true;
  }
  void *address = nullptr;
  if (aclrtMalloc(&address, bytes, 0) != 0) Fail("no memory for an input", aclGetRecentErrMsg());
  aclrtMemcpy(address, bytes, data, bytes, 1);
  delete[] data;
  tensor->SetPlacement(ge::kPlacementDevice);
  tensor->SetData(static_cast<uint8_t *>(address), bytes, [](uint8_t *given) { aclrtFree(given); });
  return true;
}

// Nothing when the model ran to its end, or why it did not.
inline std::string RunGraph(const std::string &bytes) {
  void *stream = Stream();
  ge::Graph graph("fuzzed");
  ge::Session session({});
  if (graph.LoadFromSerializedModelArray(bytes.data(), bytes.size()) != 0 || session.AddGraph(0, graph, {}) != 0 ||
      session.CompileGraph(0) != 0)
    return CheckRefusal(ge::GEGetErrorMsg(), bytes);
  std::vector<ge::Tensor> inputs;
  size_t results = 0;
  const auto model = Read(Kind::kModel, bytes);
  for (const auto *node : All(Last(model, 7).fields, 6)) {
    const auto &type = Last(node->fields, 2).bytes;
    if (type == "NetOutput") results += All(node->fields, 5).size();
    if (type != "Data") continue;
    size_t index = 0;
    for (const auto *entry : All(node->fields, 10)) {
      if (Last(entry->fields, 1).bytes == "index") index = Last(Last(entry->fields, 2).fields, 3).value;
    }
    const auto described = All(node->fields, 34);
    if (index > 64 || described.empty()) return "too many inputs for a fuzzer";
    while (inputs.size() <= index) inputs.emplace_back();
    if (!Fill(described[0]->fields, (bytes.size() + index) % 2 == 1, &inputs[index])) return "too large for a fuzzer";
  }
  std::vector<ge::Tensor> outputs;
  for (size_t i = 0; i < results; ++i) outputs.emplace_back();
  if (session.RunGraphWithStreamAsync(0, stream, inputs, outputs) != 0) return CheckRefusal(ge::GEGetErrorMsg(), bytes);
  std::string refused;
  if (aclrtSynchronizeStream(stream) != 0) refused = CheckRefusal(aclGetRecentErrMsg(), bytes);
  for (const unsigned char c : std::string(host_cann_log_take())) {
    if (c >= 0x7f || (c < 0x20 && c != '\n')) Fail("the log is not plain text", std::to_string(c));
  }
  return refused;
}

}  // namespace fuzz
