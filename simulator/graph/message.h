// Protobuf's wire format: all that a model needs, without a protobuf library.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "entry_point.h"

namespace host_cann {

// A message as its fields.
class Message {
 public:
  struct Field {
    int number;
    bool length_delimited;
    uint64_t value;     // of a varint or a fixed field
    std::string bytes;  // of a length-delimited one
  };

  explicit Message(const std::string &bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {
    while (at_ != end_) {
      const uint64_t key = Varint();
      const int type = static_cast<int>(key & 7);
      Field field{static_cast<int>(key >> 3), type == 2, 0, {}};
      if (type == 0) {
        field.value = Varint();
      } else if (type == 1 || type == 5) {
        const std::string fixed = Take(type == 1 ? 8 : 4);
        std::memcpy(&field.value, fixed.data(), fixed.size());
      } else if (type == 2) {
        field.bytes = Take(Varint());
      } else {
        throw Broken();
      }
      fields_.push_back(std::move(field));
    }
  }

  const std::vector<Field> &fields() const { return fields_; }

  // Of the last field with the number; without one, nothing.
  int64_t Integer(int number) const { return static_cast<int64_t>(Find(number).value); }
  const std::string &Bytes(int number) const { return Find(number).bytes; }

  // Of all fields with the number; repeated integers may be packed into one.
  std::vector<std::string> All(int number) const {
    std::vector<std::string> all;
    for (const auto &field : fields_) {
      if (field.number == number) all.push_back(field.bytes);
    }
    return all;
  }
  std::vector<int64_t> Integers(int number) const {
    std::vector<int64_t> all;
    for (const auto &field : fields_) {
      if (field.number == number) Append(field, &all);
    }
    return all;
  }

 private:
  static Refusal Broken() { return {kInvalidParam, "not a serialised model"}; }

  static void Append(const Field &field, std::vector<int64_t> *integers) {
    if (!field.length_delimited) return integers->push_back(static_cast<int64_t>(field.value));
    Message packed;
    packed.at_ = field.bytes.data();
    packed.end_ = packed.at_ + field.bytes.size();
    while (packed.at_ != packed.end_) integers->push_back(static_cast<int64_t>(packed.Varint()));
  }

  Message() = default;

  const Field &Find(int number) const {
    static const Field none{};
    for (size_t i = fields_.size(); i-- > 0;) {
      if (fields_[i].number == number) return fields_[i];
    }
    return none;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw Broken();
  }
  std::string Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) throw Broken();
    at_ += size;
    return {at_ - size, size};
  }

  const char *at_ = nullptr, *end_ = nullptr;
  std::vector<Field> fields_;
};

}  // namespace host_cann
