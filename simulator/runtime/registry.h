// The live objects of one kind, by what their callers know them by: an address or a number.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

#include "entry_point.h"

namespace host_cann {

// One that is global is never destroyed: torch_npu still calls from destructors of its own.
template <class Key, class Object>
class Registry {
 public:
  // The code and the text of a refusal, before the key that nothing is known by.
  Registry(int code, const char *unknown) : code_(code), unknown_(unknown) {}

  void Set(Key key, std::shared_ptr<Object> object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    objects_[key] = std::move(object);
  }
  Key Add(std::shared_ptr<Object> object) {
    const Key key = object.get();
    Set(key, std::move(object));
    return key;
  }
  std::shared_ptr<Object> Find(Key key) {  // null where there is none
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = objects_.find(key);
    return found == objects_.end() ? nullptr : found->second;
  }
  std::shared_ptr<Object> Get(Key key) {
    auto object = Find(key);
    if (object == nullptr) throw Unknown(key);
    return object;
  }
  std::shared_ptr<Object> Remove(Key key) {  // its destructor, if this was the last owner, runs without the lock
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) throw Unknown(key);
    auto object = std::move(found->second);
    objects_.erase(found);
    return object;
  }
  std::vector<std::shared_ptr<Object>> All() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::shared_ptr<Object>> all;
    for (const auto &entry : objects_) all.push_back(entry.second);
    return all;
  }

 private:
  Refusal Unknown(Key key) const {
    std::ostringstream text;
    text << unknown_ << ": " << key;
    return {code_, text.str()};
  }

  const int code_;
  const char *const unknown_;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Object>> objects_;
};

}  // namespace host_cann
