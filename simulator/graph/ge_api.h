// The part of the graph engine's C++ interface that torchair's libraries are linked against. Names, member functions
// and the layout of what crosses the border are CANN's: nearly every class is one shared_ptr to what only the stand-in
// knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace ge {

using Status = uint32_t;
using graphStatus = uint32_t;
enum DataType : int32_t {};  // the numbers of host_cann::DType
enum Format : int32_t { FORMAT_ND = 2 };
enum Placement : uint32_t { kPlacementHost = 0, kPlacementDevice = 1 };

class AscendString {
 public:
  AscendString() = default;
  AscendString(const char *text);  // NOLINT: implicit in CANN
  const char *GetString() const;
  bool operator<(const AscendString &other) const;
  bool operator==(const AscendString &other) const;

 private:
  std::shared_ptr<std::string> name_;
};

using Options = std::map<AscendString, AscendString>;

class ShapeImpl;
class Shape {
 public:
  explicit Shape(const std::vector<int64_t> &dims);
  std::vector<int64_t> GetDims() const;

 private:
  std::shared_ptr<ShapeImpl> impl_;
};

class TensorDescImpl;
class TensorDesc {
 public:
  TensorDesc();
  Shape GetShape() const;
  Format GetFormat() const;
  void SetFormat(Format format);
  void SetOriginShape(const Shape &shape);
  void SetOriginFormat(Format format);
  DataType GetDataType() const;
  void SetDataType(DataType dtype);
  void SetPlacement(Placement placement);
  Placement GetPlacement() const;

 private:
  friend class Tensor;
  std::shared_ptr<TensorDescImpl> impl;
};

class TensorImpl;
class Tensor {
 public:
  using DeleteFunc = std::function<void(uint8_t *)>;
  Tensor();
  TensorDesc GetTensorDesc() const;
  graphStatus SetTensorDesc(const TensorDesc &desc);
  const uint8_t *GetData() const;
  uint8_t *GetData();
  graphStatus SetData(uint8_t *data, size_t size, const DeleteFunc &deleter);
  graphStatus ResetData(uint8_t *data, size_t size, const DeleteFunc &deleter);
  std::unique_ptr<uint8_t[], DeleteFunc> ResetData();
  graphStatus SetOriginShapeDimNum(size_t count);
  size_t GetOriginShapeDimNum() const;
  graphStatus SetOriginShapeDim(size_t index, int64_t dim);
  graphStatus SetShapeDimNum(size_t count);
  size_t GetShapeDimNum() const;
  graphStatus SetShapeDim(size_t index, int64_t dim);
  int64_t GetShapeDim(size_t index) const;
  graphStatus SetFormat(const Format &format);
  Format GetFormat() const;
  graphStatus SetDataType(const DataType &dtype);
  DataType GetDataType() const;
  graphStatus SetPlacement(const Placement &placement);
  Placement GetPlacement() const;

 private:
  std::shared_ptr<TensorImpl> impl;
};

const char *GetFormatName(Format format);

class NodeImpl;
class GNode {
 public:
  explicit GNode(std::shared_ptr<NodeImpl> impl) : impl_(std::move(impl)) {}
  graphStatus GetType(AscendString &type) const;

 private:
  std::shared_ptr<NodeImpl> impl_;
};

class GraphImpl;
class Graph {
 public:
  Graph() = default;
  explicit Graph(const char *name);
  graphStatus LoadFromSerializedModelArray(const void *bytes, size_t size);
  graphStatus CopyFrom(const Graph &graph);
  graphStatus SaveToFile(const char *path) const;
  std::vector<GNode> GetAllNodes() const;

 private:
  friend class Session;
  std::shared_ptr<GraphImpl> impl_;
};

class OperatorImpl;
class Operator {
 public:
  Operator(const char *name, const char *type);
  Operator(const AscendString &name, const AscendString &type);
  virtual ~Operator() = default;
  graphStatus UpdateInputDesc(const char *name, const TensorDesc &desc);
  graphStatus GetAllIrAttrNamesAndTypes(Options &attributes) const;

 protected:  // for the operators that a caller describes itself
  void InputRegister(const char *name);
  void OutputRegister(const char *name);
  void DynamicInputRegister(const char *name, uint32_t count, bool at_the_end);
  void DynamicInputRegisterByIndex(const char *name, uint32_t count, size_t index);
  void AttrRegister(const char *name, bool value);
  void AttrRegister(const char *name, int64_t value);
  void RequiredAttrRegister(const char *name);

 private:
  std::shared_ptr<OperatorImpl> operator_impl_;
};

class OperatorFactory {
 public:
  static Operator CreateOperator(const char *name, const char *type);
  static bool IsExistOp(const char *type);
};

class OperatorCreatorRegister {
 public:
  OperatorCreatorRegister(const char *type, const std::function<Operator(const AscendString &)> &create);
};

class CompiledGraphSummary {
 public:
  class SummaryData;
  explicit CompiledGraphSummary(std::shared_ptr<SummaryData> data) : data_(std::move(data)) {}
  bool IsStatic() const;
  Status GetConstMemorySize(size_t &size) const;
  Status GetFeatureMemorySize(size_t &size) const;
  Status GetFixedFeatureMemorySize(size_t &size) const;
  Status GetFeatureMemoryBaseRefreshable(bool &refreshable) const;
  Status GetOutputShapes(std::vector<Shape> &shapes) const;
  Status GetOutputDtypes(std::vector<DataType> &dtypes) const;

 private:
  std::shared_ptr<SummaryData> data_;
};

// Implemented by torchair over torch's caching allocator; the order of the virtual functions is CANN's.
class MemBlock;
class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual MemBlock *Malloc(size_t bytes) = 0;
  virtual void Free(MemBlock *block) = 0;
  virtual MemBlock *MallocAdvise(size_t bytes, void *address) = 0;
};

class MemBlock {
 public:
  MemBlock(Allocator &allocator, void *address, size_t bytes)
      : allocator_(allocator), address_(address), count_(1), bytes_(bytes) {}
  virtual ~MemBlock() = default;
  void *GetAddr() { return address_; }
  void Free() {
    if (count_ > 0 && --count_ == 0) allocator_.Free(this);
  }

 private:
  Allocator &allocator_;
  void *address_;
  size_t count_;
  [[maybe_unused]] size_t bytes_;  // clients allocate these
};

class Session {
 public:
  explicit Session(const Options &options);
  ~Session();
  Status AddGraph(uint32_t id, const Graph &graph, const Options &options);
  Status CompileGraph(uint32_t id);
  std::shared_ptr<CompiledGraphSummary> GetCompiledGraphSummary(uint32_t id);
  Status RemoveGraph(uint32_t id);
  Status RunGraph(uint32_t id, const std::vector<Tensor> &inputs, std::vector<Tensor> &outputs);
  Status RunGraphWithStreamAsync(uint32_t id, void *stream, const std::vector<Tensor> &inputs,
                                 std::vector<Tensor> &outputs);
  Status SetGraphConstMemoryBase(uint32_t id, const void *memory, size_t bytes);
  Status SetGraphFixedFeatureMemoryBase(uint32_t id, const void *memory, size_t bytes);
  Status UpdateGraphFeatureMemoryBase(uint32_t id, const void *memory, size_t bytes);
  Status UpdateGraphRefreshableFeatureMemoryBase(uint32_t id, const void *memory, size_t bytes);
  Status RegisterExternalAllocator(const void *stream, std::shared_ptr<Allocator> allocator) const;

 private:
  uint64_t session_id_ = 0;
};

Status GEInitialize(const Options &options);
Status GEFinalize();
std::string GEGetErrorMsg();
AscendString GEGetWarningMsgV2();

}  // namespace ge

#pragma GCC visibility pop
