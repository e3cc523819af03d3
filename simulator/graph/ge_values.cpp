// Strings, shapes and tensors of the graph engine: what torchair fills in and reads back.
#include <algorithm>
#include <utility>

#include "ge_api.h"

namespace ge {

AscendString::AscendString(const char *text) : name_(std::make_shared<std::string>(text == nullptr ? "" : text)) {}
const char *AscendString::GetString() const { return name_ == nullptr ? "" : name_->c_str(); }
bool AscendString::operator<(const AscendString &other) const { return std::string(GetString()) < other.GetString(); }
bool AscendString::operator==(const AscendString &other) const { return std::string(GetString()) == other.GetString(); }

class ShapeImpl {
 public:
  std::vector<int64_t> dims;
};

Shape::Shape(const std::vector<int64_t> &dims) : impl_(std::make_shared<ShapeImpl>(ShapeImpl{dims})) {}
std::vector<int64_t> Shape::GetDims() const { return impl_->dims; }

class TensorDescImpl {
 public:
  std::vector<int64_t> dims, origin_dims;
  Format format = FORMAT_ND, origin_format = FORMAT_ND;
  DataType dtype{};
  Placement placement = kPlacementHost;
};

TensorDesc::TensorDesc() : impl(std::make_shared<TensorDescImpl>()) {}
Shape TensorDesc::GetShape() const { return Shape(impl->dims); }
Format TensorDesc::GetFormat() const { return impl->format; }
void TensorDesc::SetFormat(Format format) { impl->format = format; }
void TensorDesc::SetOriginShape(const Shape &shape) { impl->origin_dims = shape.GetDims(); }
void TensorDesc::SetOriginFormat(Format format) { impl->origin_format = format; }
DataType TensorDesc::GetDataType() const { return impl->dtype; }
void TensorDesc::SetDataType(DataType dtype) { impl->dtype = dtype; }
void TensorDesc::SetPlacement(Placement placement) { impl->placement = placement; }
Placement TensorDesc::GetPlacement() const { return impl->placement; }

class TensorImpl {
 public:
  TensorDescImpl desc;
  std::unique_ptr<uint8_t[], Tensor::DeleteFunc> data{nullptr, [](uint8_t *) {}};
};

namespace {

constexpr graphStatus kSuccess = 0, kNoSuchDim = 0xFFFFFFFF;

template <class Value>
graphStatus Set(Value *field, const Value &value) {
  *field = value;
  return kSuccess;
}

graphStatus SetDim(std::vector<int64_t> *dims, size_t index, int64_t dim) {
  return index < dims->size() ? Set(&(*dims)[index], dim) : kNoSuchDim;
}

graphStatus SetDimNum(std::vector<int64_t> *dims, size_t count) {
  dims->resize(count);
  return kSuccess;
}

}  // namespace

Tensor::Tensor() : impl(std::make_shared<TensorImpl>()) {}

TensorDesc Tensor::GetTensorDesc() const {
  TensorDesc desc;
  *desc.impl = impl->desc;
  return desc;
}
graphStatus Tensor::SetTensorDesc(const TensorDesc &desc) { return Set(&impl->desc, *desc.impl); }

const uint8_t *Tensor::GetData() const { return impl->data.get(); }
uint8_t *Tensor::GetData() { return impl->data.get(); }
graphStatus Tensor::SetData(uint8_t *data, size_t, const DeleteFunc &deleter) {
  impl->data = {data, deleter};
  return kSuccess;
}
graphStatus Tensor::ResetData(uint8_t *data, size_t size, const DeleteFunc &deleter) {
  return SetData(data, size, deleter);
}
std::unique_ptr<uint8_t[], Tensor::DeleteFunc> Tensor::ResetData() {
  return std::exchange(impl->data, {nullptr, [](uint8_t *) {}});
}

graphStatus Tensor::SetOriginShapeDimNum(size_t count) { return SetDimNum(&impl->desc.origin_dims, count); }
size_t Tensor::GetOriginShapeDimNum() const { return impl->desc.origin_dims.size(); }
graphStatus Tensor::SetOriginShapeDim(size_t index, int64_t dim) { return SetDim(&impl->desc.origin_dims, index, dim); }
graphStatus Tensor::SetShapeDimNum(size_t count) { return SetDimNum(&impl->desc.dims, count); }
size_t Tensor::GetShapeDimNum() const { return impl->desc.dims.size(); }
graphStatus Tensor::SetShapeDim(size_t index, int64_t dim) { return SetDim(&impl->desc.dims, index, dim); }
int64_t Tensor::GetShapeDim(size_t index) const { return index < impl->desc.dims.size() ? impl->desc.dims[index] : 0; }
graphStatus Tensor::SetFormat(const Format &format) { return Set(&impl->desc.format, format); }
Format Tensor::GetFormat() const { return impl->desc.format; }
graphStatus Tensor::SetDataType(const DataType &dtype) { return Set(&impl->desc.dtype, dtype); }
DataType Tensor::GetDataType() const { return impl->desc.dtype; }
graphStatus Tensor::SetPlacement(const Placement &placement) { return Set(&impl->desc.placement, placement); }
Placement Tensor::GetPlacement() const { return impl->desc.placement; }

// Tensors of other formats never get this far.
const char *GetFormatName(Format format) {
  constexpr const char *kNames[] = {"NCHW", "NHWC", "ND"};
  return format >= 0 && format <= FORMAT_ND ? kNames[format] : "a format unknown to the host stand-in for CANN";
}

}  // namespace ge
