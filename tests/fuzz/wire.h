// A serialised model as a tree of protobuf's fields, to be read, changed and written again. The reader of the stand-in is
// under test, so this one is another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fuzz {

// The messages of a model, as far as one holds another.
enum class Kind { kLeaf, kModel, kGraph, kNode, kEntry, kAttribute, kList, kTensor, kDescription, kShape };

inline Kind KindOf(Kind parent, int number) {
  struct Child {
    Kind parent;
    int number;
    Kind kind;
  };
  constexpr Child kChildren[] = {
      {Kind::kModel, 7, Kind::kGraph},        {Kind::kGraph, 6, Kind::kNode},
      {Kind::kNode, 10, Kind::kEntry},        {Kind::kNode, 33, Kind::kDescription},
      {Kind::kNode, 34, Kind::kDescription},  {Kind::kEntry, 2, Kind::kAttribute},
      {Kind::kAttribute, 1, Kind::kList},     {Kind::kAttribute, 12, Kind::kTensor},
      {Kind::kTensor, 1, Kind::kDescription}, {Kind::kDescription, 3, Kind::kShape},
  };
  for (const auto &child : kChildren) {
    if (child.parent == parent && child.number == number) return child.kind;
  }
  return Kind::kLeaf;
}

struct Field {
  int number = 0, type = 0;  // 0: varint, 1 and 5: fixed, 2: bytes, or a message if the kind is no leaf
  Kind kind = Kind::kLeaf;
  uint64_t value = 0;
  std::string bytes;
  std::vector<Field> fields;
};

inline std::string WriteVarint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text += static_cast<char>(value | 0x80);
  return text + static_cast<char>(value);
}

inline bool ReadVarint(const std::string &bytes, size_t *at, uint64_t *value) {
  *value = 0;
  for (int shift = 0; shift < 64 && *at < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[(*at)++]);
    *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// What is broken ends the message before it.
inline std::vector<Field> Read(Kind kind, const std::string &bytes) {
  std::vector<Field> fields;
  uint64_t key = 0, size = 0;
  for (size_t at = 0; at < bytes.size();) {
    if (!ReadVarint(bytes, &at, &key)) break;
    Field field;
    field.number = static_cast<int>(key >> 3 & 0xfffffff), field.type = static_cast<int>(key & 7);
    if (field.type == 0 && !ReadVarint(bytes, &at, &field.value)) break;
    if (field.type == 1 || field.type == 5) {
      const size_t width = field.type == 1 ? 8 : 4;
      if (bytes.size() - at < width) break;
      for (size_t i = 0; i < width; ++i)
        field.value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at++])) << (8 * i);
    } else if (field.type == 2) {
      if (!ReadVarint(bytes, &at, &size) || size > bytes.size() - at) break;
      field.kind = KindOf(kind, field.number);
      const auto inside = bytes.substr(at, size);
      at += size;
      if (field.kind == Kind::kLeaf) field.bytes = inside;
      if (field.kind != Kind::kLeaf) field.fields = Read(field.kind, inside);
    } else if (field.type != 0) {
      break;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

inline std::string Write(const std::vector<Field> &fields) {
  std::string bytes;
  for (const auto &field : fields) {
    bytes += WriteVarint(static_cast<uint64_t>(field.number) << 3 | static_cast<uint64_t>(field.type));
    if (field.type == 0) bytes += WriteVarint(field.value);
    for (int i = 0; i < (field.type == 1 ? 8 : field.type == 5 ? 4 : 0); ++i)
      bytes += static_cast<char>(field.value >> (8 * i));
    if (field.type != 2) continue;
    const auto inside = field.kind == Kind::kLeaf ? field.bytes : Write(field.fields);
    bytes += WriteVarint(inside.size()) + inside;
  }
  return bytes;
}

inline std::vector<const Field *> All(const std::vector<Field> &fields, int number) {
  std::vector<const Field *> all;
  for (const auto &field : fields) {
    if (field.number == number) all.push_back(&field);
  }
  return all;
}

inline const Field &Last(const std::vector<Field> &fields, int number) {
  static const Field none;
  const auto all = All(fields, number);
  return all.empty() ? none : *all.back();
}

inline std::vector<int64_t> Integers(const std::vector<Field> &fields, int number) {
  std::vector<int64_t> all;
  for (const auto *field : All(fields, number)) {
    if (field->type != 2) all.push_back(static_cast<int64_t>(field->value));
    uint64_t value = 0;
    for (size_t at = 0; at < field->bytes.size() && ReadVarint(field->bytes, &at, &value);)
      all.push_back(static_cast<int64_t>(value));
  }
  return all;
}

}  // namespace fuzz
