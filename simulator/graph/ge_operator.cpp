// Operators of the graph engine: what the table of node types says of one, and what a caller says who describes its own.
// Neither runs anything: a graph arrives as a serialised model, and AddGraph refuses by name what the table lacks.
#include <set>

#include "ge_api.h"
#include "node_types.h"
#include "registry.h"

namespace ge {

using namespace host_cann;  // NOLINT: what is behind CANN's names

class OperatorImpl {
 public:
  explicit OperatorImpl(const char *of_type) : type(of_type) {
    const auto *found = FindNodeType(of_type);
    if (found == nullptr) return;
    described = true;
    for (const auto &input : Parameters(found->inputs)) inputs.insert(input.name);
    for (const auto &attribute : Parameters(found->attributes)) attributes.insert(attribute.name);
  }

  void Describe(std::set<std::string> *names, const char *name) {
    described = true;
    names->insert(name);
  }

  const std::string type;
  bool described = false;
  std::set<std::string> inputs, attributes;
};

namespace {

using Create = std::function<Operator(const AscendString &)>;

auto &creators = *new Registry<std::string, Create>(kInvalidParam, "nobody described the operator");

void DemandDescribed(const OperatorImpl &impl) {
  if (!impl.described) throw NotImplemented("the operator " + impl.type);
}

}  // namespace

Operator::Operator(const char *, const char *type) : operator_impl_(std::make_shared<OperatorImpl>(type)) {}
Operator::Operator(const AscendString &name, const AscendString &type) : Operator(name.GetString(), type.GetString()) {}

// Of a dynamic input there are as many as are connected, x0, x1, ..., and it goes by the name x.
void Operator::InputRegister(const char *name) { operator_impl_->Describe(&operator_impl_->inputs, name); }
void Operator::DynamicInputRegister(const char *name, uint32_t, bool) { InputRegister(name); }
void Operator::DynamicInputRegisterByIndex(const char *name, uint32_t, size_t) { InputRegister(name); }
void Operator::RequiredAttrRegister(const char *name) { operator_impl_->Describe(&operator_impl_->attributes, name); }
void Operator::AttrRegister(const char *name, bool) { RequiredAttrRegister(name); }
void Operator::AttrRegister(const char *name, int64_t) { RequiredAttrRegister(name); }
void Operator::OutputRegister(const char *) {}  // nobody asks for it

graphStatus Operator::UpdateInputDesc(const char *name, const TensorDesc &) {
  return static_cast<graphStatus>(EntryPoint("ge::Operator::UpdateInputDesc", [&] {
    DemandDescribed(*operator_impl_);
    if (operator_impl_->inputs.count(name) == 0)
      Invalid("the operator " + operator_impl_->type + " has no input " + name, kInvalidParam);
  }));
}

graphStatus Operator::GetAllIrAttrNamesAndTypes(Options &attributes) const {
  return static_cast<graphStatus>(EntryPoint("ge::Operator::GetAllIrAttrNamesAndTypes", [&] {
    DemandDescribed(*operator_impl_);
    for (const auto &name : operator_impl_->attributes) attributes[name.c_str()] = "";
  }));
}

// Whether a graph may hold it, which a caller's description does not change.
bool OperatorFactory::IsExistOp(const char *type) { return FindNodeType(type) != nullptr; }

Operator OperatorFactory::CreateOperator(const char *name, const char *type) {
  const auto create = IsExistOp(type) ? nullptr : creators.Find(type);
  return create == nullptr ? Operator(name, type) : (*create)(name);
}

OperatorCreatorRegister::OperatorCreatorRegister(const char *type, const Create &create) {
  creators.Set(type, std::make_shared<Create>(create));
}

}  // namespace ge
