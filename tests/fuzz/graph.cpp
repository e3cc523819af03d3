// libFuzzer on the stand-in's graph door: serialised models, and what an operation does with hostile sizes and values.
// Models are changed field by field, as few changes of bytes leave one that can be read.
#include <random>

#include "run_graph.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

namespace {

using fuzz::Field;
using fuzz::Kind;
using Fields = std::vector<Field>;
using Random = std::minstd_rand;

size_t Below(Random &random, size_t count) { return random() % count; }

void Collect(Fields *fields, std::vector<std::pair<Fields *, size_t>> *places) {
  for (size_t i = 0; i < fields->size(); ++i) {
    places->emplace_back(fields, i);
    Collect(&(*fields)[i].fields, places);
  }
}

std::string Other(std::string bytes, size_t room) {
  const size_t size = bytes.size();
  bytes.resize(size + room);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(&bytes[0]), size, size + room));
  return bytes;
}

uint64_t Number(Random &random, uint64_t before) {
  constexpr int64_t kOdd[] = {0,         1,         2,         3,         -1,      -2,        7,
                              8,         64,        65,        2047,      1 << 20, INT32_MAX, INT32_MIN,
                              INT64_MAX, INT64_MIN, 1LL << 32, 1LL << 62, -1024,   100000};
  const size_t way = Below(random, 4);
  if (way == 0) return before + 1;
  if (way == 1) return before - 1;
  return way == 2 ? Below(random, 16) : static_cast<uint64_t>(kOdd[Below(random, std::size(kOdd))]);
}

// One change: of a number, of a text, of the places of fields, or another field of the same kind, here or of `donor`.
void Change(Fields *model, Fields *donor, Random &random) {
  std::vector<std::pair<Fields *, size_t>> places, others;
  Collect(model, &places);
  Collect(donor, &others);
  if (places.empty() || others.empty()) return;
  const auto [fields, at] = places[Below(random, places.size())];
  Field &field = (*fields)[at];
  const auto here = fields->begin() + static_cast<int64_t>(at);
  switch (Below(random, 8)) {
    case 0: fields->erase(here); return;
    case 1: fields->insert(here, Field(field)); return;
    case 2: std::swap(field, (*fields)[Below(random, fields->size())]); return;
    case 3: field.number = static_cast<int>(1 + Below(random, 35)); return;
    case 4: {  // a node, an attribute, ... of the other model
      const auto &[from, place] = others[Below(random, others.size())];
      const Field given = (*from)[place];
      for (const auto &[into, of] : places) {
        if ((*into)[of].number != given.number || (*into)[of].kind != given.kind || Below(random, 3) != 0) continue;
        if (Below(random, 2) == 0)
          (*into)[of] = given;
        else
          into->insert(into->begin() + static_cast<int64_t>(of), given);
        return;
      }
      return;
    }
    default: break;
  }
  if (field.type != 2) {
    field.value = Number(random, field.value);
  } else if (field.kind == Kind::kLeaf) {
    const auto &[from, place] = others[Below(random, others.size())];
    const bool same = (*from)[place].kind == Kind::kLeaf && (*from)[place].number == field.number;
    field.bytes = same && Below(random, 3) != 0 ? (*from)[place].bytes : Other(field.bytes, 8);
  } else {  // as bytes
    field.bytes = Other(fuzz::Write(field.fields), 8);
    field.fields = fuzz::Read(field.kind, field.bytes);
  }
}

size_t Put(const Fields &model, uint8_t *data, size_t room) {
  const auto bytes = fuzz::Write(model);
  if (bytes.size() > room) return 0;
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

Fields ModelOf(const uint8_t *data, size_t size) {
  return fuzz::Read(Kind::kModel, {reinterpret_cast<const char *>(data), size});
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  Random random(seed);
  auto model = ModelOf(data, size);
  if (model.empty() || Below(random, 50) == 0) return LLVMFuzzerMutate(data, size, room);
  for (size_t i = 1 + Below(random, 3); i > 0; --i) {
    auto donor = model;
    Change(&model, &donor, random);
  }
  const size_t changed = Put(model, data, room);
  return changed != 0 ? changed : LLVMFuzzerMutate(data, size, room);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other, size_t other_size,
                                            uint8_t *out, size_t room, unsigned seed) {
  Random random(seed);
  auto model = ModelOf(data, size), donor = ModelOf(other, other_size);
  if (donor.empty()) return 0;
  for (size_t i = 1 + Below(random, 4); i > 0; --i) Change(&model, &donor, random);
  return Put(model, out, room);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz::RunGraph({reinterpret_cast<const char *>(data), size});
  return 0;
}
