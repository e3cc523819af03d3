// Reads protobuf's wire format, field by field: all that a model needs, without a dependency on a protobuf library.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace host_cann {

class Wire {
 public:
  Wire(const char *data, size_t size) : at_(data), end_(data + size) {}
  explicit Wire(const std::string &bytes) : Wire(bytes.data(), bytes.size()) {}

  // Moves to the next field; false at the end and at bytes that are not protobuf.
  bool Next() {
    if (at_ == end_ || broken_) return false;
    const uint64_t key = Varint();
    field = static_cast<int>(key >> 3);
    type_ = static_cast<int>(key & 7);
    number = 0;
    bytes.clear();
    switch (type_) {
      case 0: number = Varint(); break;
      case 1: Fixed(8); break;
      case 2: Bytes(Varint()); break;
      case 5: Fixed(4); break;
      default: broken_ = true;
    }
    return !broken_;
  }

  bool broken() const { return broken_; }
  int64_t integer() const { return static_cast<int64_t>(number); }
  float real() const {
    float value;
    std::memcpy(&value, &number, sizeof value);
    return value;
  }

  // Calls use(element) for each element of a repeated number, packed or not.
  template <class Use>
  void Each(const Use &use) const {
    if (type_ != 2) return use(*this);
    Wire packed(bytes);
    while (packed.at_ != packed.end_ && !packed.broken_) {
      packed.number = packed.Varint();
      use(packed);
    }
  }

  int field = 0;
  uint64_t number = 0;  // of a varint or a fixed field
  std::string bytes;    // of a length-delimited field

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }
  bool Has(uint64_t size) {
    broken_ = broken_ || size > static_cast<uint64_t>(end_ - at_);
    return !broken_;
  }
  void Fixed(size_t size) {
    if (!Has(size)) return;
    std::memcpy(&number, at_, size);
    at_ += size;
  }
  void Bytes(uint64_t size) {
    if (!Has(size)) return;
    bytes.assign(at_, size);
    at_ += size;
  }

  const char *at_, *end_;
  int type_ = 0;
  bool broken_ = false;
};

}  // namespace host_cann
