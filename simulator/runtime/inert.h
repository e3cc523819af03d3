// Entry points with nothing behind them. What has no meaning on a host is accepted and changes nothing, because the
// stand-in always behaves as its strictest value. What would have a meaning and is not done fails and names itself.
#pragma once

#include "entry_point.h"

namespace host_cann {

template <class Result>
Result Refused(const char *name) {
  EntryPoint(name, [name] { throw NotImplemented(name); });
  return Result();
}
template <>
inline int Refused<int>(const char *name) {
  return EntryPoint(name, [name] { throw NotImplemented(name); });
}

}  // namespace host_cann

// By C's rules for calls it does not matter which parameters the caller passes.
#define ACCEPT(name) \
  EXPORT int name() { return 0; }
#define REFUSE(name) \
  EXPORT int name() { return host_cann::Refused<int>(#name); }
#define REFUSE_POINTER(name) \
  EXPORT void *name() { return host_cann::Refused<void *>(#name); }
