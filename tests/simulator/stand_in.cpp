// The stand-in under its C interface alone, for the sanitizers: streams, events, copies, captures, faults and memory,
// from several threads at once. Ends with 0 when every result was right and nothing is left.
#include <pthread.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

extern "C" {
int aclInit(const char *);
int aclFinalize();
int aclrtSetDevice(int32_t);
int aclrtMalloc(void **, size_t, int);
int aclrtFree(void *);
int aclrtMemcpyAsync(void *, size_t, const void *, size_t, int, void *);
int aclrtMemcpy(void *, size_t, const void *, size_t, int);
int aclrtCreateStream(void **);
int aclrtDestroyStream(void *);
int aclrtSynchronizeStream(void *);
int aclrtSynchronizeDevice();
int aclrtCreateEvent(void **);
int aclrtDestroyEvent(void *);
int aclrtRecordEvent(void *, void *);
int aclrtStreamWaitEvent(void *, void *);
int aclrtQueryEventStatus(void *, int *);
int aclrtLaunchHostFunc(void *, void (*)(void *), void *);
int aclmdlRICaptureBegin(void *, int);
int aclmdlRICaptureEnd(void *, void **);
int aclmdlRIExecuteAsync(void *, void *);
int aclmdlRIDestroy(void *);
void *aclCreateTensor(const int64_t *, uint64_t, int, const int64_t *, int64_t, int, const int64_t *, uint64_t, void *);
int aclDestroyTensor(const void *);
int aclnnMoeGatingTopKGetWorkspaceSize(const void *, const void *, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                                       bool, double, double, const void *, const void *, const void *, uint64_t *,
                                       void **);
int aclnnMoeGatingTopK(void *, uint64_t, void *, void *);
const char *aclGetRecentErrMsg();
const char *host_cann_allocations();
void host_cann_log_start();
void host_cann_log_stop();
const char *host_cann_log_take();
int host_cann_fault_add(const char *, int, int, const char *);
void host_cann_fault_remove(int);
}

#define DEMAND(condition)                                                                            \
  do {                                                                                               \
    if (!(condition)) {                                                                              \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, aclGetRecentErrMsg()); \
      std::exit(1);                                                                                  \
    }                                                                                                \
  } while (false)

constexpr int64_t kTokens = 3, kExperts = 64, kChosen = 2;
enum { kHostToDevice = 1, kDeviceToHost = 2 };

struct Memory {
  explicit Memory(size_t bytes) { DEMAND(aclrtMalloc(&at, bytes, 0) == 0); }
  ~Memory() { DEMAND(aclrtFree(at) == 0); }
  Memory(const Memory &) = delete;
  void *at = nullptr;
};

// One gate on a stream: its logits rise towards the expert `best`, modulo the experts.
class Gate {
 public:
  explicit Gate(int64_t best) : logits_(kTokens * kExperts), chosen_(kTokens * kChosen) {
    for (int64_t i = 0; i < kTokens * kExperts; ++i) {
      logits_[static_cast<size_t>(i)] = static_cast<float>((i + kExperts - 1 - best) % kExperts) / 8;
    }
  }

  void Launch(void *stream) {
    const auto bytes = logits_.size() * sizeof(float);
    DEMAND(aclrtMemcpyAsync(x_.at, bytes, logits_.data(), bytes, kHostToDevice, stream) == 0);
    const int64_t wide[] = {kTokens, kExperts}, wide_strides[] = {kExperts, 1};
    const int64_t narrow[] = {kTokens, kChosen}, narrow_strides[] = {kChosen, 1};
    void *x = aclCreateTensor(wide, 2, 0, wide_strides, 0, 2, wide, 2, x_.at);
    void *y = aclCreateTensor(narrow, 2, 0, narrow_strides, 0, 2, narrow, 2, y_.at);
    void *idx = aclCreateTensor(narrow, 2, 3, narrow_strides, 0, 2, narrow, 2, idx_.at);
    void *out = aclCreateTensor(wide, 2, 0, wide_strides, 0, 2, wide, 2, out_.at);
    uint64_t workspace = 0;
    void *executor = nullptr;
    DEMAND(aclnnMoeGatingTopKGetWorkspaceSize(x, nullptr, kChosen, 1, 1, 0, 0, 1, false, 1.0, 1e-20, y, idx, out,
                                              &workspace, &executor) == 0);
    DEMAND(aclnnMoeGatingTopK(nullptr, workspace, executor, stream) == 0);
    for (void *tensor : {x, y, idx, out}) aclDestroyTensor(tensor);
    const auto size = chosen_.size() * sizeof(int32_t);
    DEMAND(aclrtMemcpyAsync(chosen_.data(), size, idx_.at, size, kDeviceToHost, stream) == 0);
  }

  void Check(int64_t best) const {
    for (size_t token = 0; token < kTokens; ++token) DEMAND(chosen_[token * kChosen] == best % kExperts);
  }

 private:
  std::vector<float> logits_;
  std::vector<int32_t> chosen_;
  Memory x_{kTokens * kExperts * sizeof(float)}, y_{kTokens * kChosen * sizeof(float)};
  Memory idx_{kTokens * kChosen * sizeof(int32_t)}, out_{kTokens * kExperts * sizeof(float)};
};

void Launches(int device, int launches) {
  DEMAND(aclrtSetDevice(device) == 0);
  void *streams[4], *event = nullptr;
  for (auto &stream : streams) DEMAND(aclrtCreateStream(&stream) == 0);
  DEMAND(aclrtCreateEvent(&event) == 0);
  Gate gates[4] = {Gate(0), Gate(7), Gate(14), Gate(21)};
  int counted = 0;
  for (int i = 0; i < launches; ++i) {
    gates[static_cast<size_t>(i % 4)].Launch(streams[i % 4]);
    if (i % 16 == 3) {
      int status = 0;
      DEMAND(aclrtRecordEvent(event, streams[3]) == 0);
      DEMAND(aclrtStreamWaitEvent(streams[0], event) == 0);
      DEMAND(aclrtQueryEventStatus(event, &status) == 0);
    }
  }
  DEMAND(aclrtLaunchHostFunc(streams[0], [](void *data) { ++*static_cast<int *>(data); }, &counted) == 0);
  for (auto *stream : streams) DEMAND(aclrtSynchronizeStream(stream) == 0);
  DEMAND(counted == 1);
  for (int64_t i = 0; i < 4; ++i) gates[static_cast<size_t>(i)].Check(i * 7);
  DEMAND(aclrtDestroyEvent(event) == 0);
  for (auto *stream : streams) DEMAND(aclrtDestroyStream(stream) == 0);
}

void Captures() {
  void *stream = nullptr, *model = nullptr;
  DEMAND(aclrtCreateStream(&stream) == 0);
  Gate gate(5);
  DEMAND(aclmdlRICaptureBegin(stream, 0) == 0);
  gate.Launch(stream);
  DEMAND(aclrtSynchronizeDevice() != 0);  // which makes it invalid
  DEMAND(aclmdlRICaptureEnd(stream, &model) != 0);
  DEMAND(aclmdlRICaptureBegin(stream, 0) == 0);
  gate.Launch(stream);
  DEMAND(aclmdlRICaptureEnd(stream, &model) == 0);
  for (int i = 0; i < 20; ++i) DEMAND(aclmdlRIExecuteAsync(model, stream) == 0);
  DEMAND(aclrtSynchronizeStream(stream) == 0);
  gate.Check(5);
  DEMAND(aclmdlRIDestroy(model) == 0);
  DEMAND(aclrtDestroyStream(stream) == 0);
}

void Mistakes() {
  Memory memory(100);
  std::vector<char> host(200);
  DEMAND(aclrtMemcpy(memory.at, 200, host.data(), 101, kHostToDevice) != 0);
  DEMAND(aclrtMemcpy(host.data(), 200, host.data(), 10, kHostToDevice) != 0);
  void *stream = nullptr;
  DEMAND(aclrtCreateStream(&stream) == 0);
  const int fault = host_cann_fault_add("aclnnMoeGatingTopK", 1, 507015, "run");
  Gate gate(9);
  gate.Launch(stream);
  DEMAND(aclrtSynchronizeStream(stream) == 507015);
  host_cann_fault_remove(fault);
  gate.Launch(stream);
  DEMAND(aclrtSynchronizeStream(stream) == 0);
  gate.Check(9);
  DEMAND(aclrtDestroyStream(stream) == 0);
}

// On torch_npu's launch thread, which must not see an error where there is a stream to leave it on.
void MistakesOnTheLaunchThread() {
  DEMAND(pthread_setname_np(pthread_self(), "acl_thread") == 0);
  DEMAND(aclrtSetDevice(0) == 0);
  void *stream = nullptr;
  DEMAND(aclrtCreateStream(&stream) == 0);
  DEMAND(aclrtMemcpyAsync(&stream, 1, &stream, 2, kHostToDevice, stream) == 0);
  DEMAND(aclrtSynchronizeStream(stream) == 100000);
  DEMAND(aclrtDestroyStream(stream) == 0);
  DEMAND(aclrtMemcpyAsync(&stream, 2, &stream, 1, kHostToDevice, stream) == 107003);
}

int main() {
  DEMAND(aclInit(nullptr) == 0);
  DEMAND(aclrtSetDevice(0) == 0);
  host_cann_log_start();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(Launches, i % 2, 1000);
  for (auto &thread : threads) thread.join();
  host_cann_log_stop();
  DEMAND(host_cann_log_take()[0] == '{');
  Captures();
  Mistakes();
  std::thread(MistakesOnTheLaunchThread).join();
  DEMAND(host_cann_allocations()[0] == '\0');
  return aclFinalize();
}
