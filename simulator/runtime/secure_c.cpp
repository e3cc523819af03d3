// The three functions of CANN's bounded C library that the wheels call. Each leaves a terminated text; -1 or an errno
// value tells that it was cut.
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "entry_point.h"

EXPORT int vsnprintf_s(char *to, size_t size, size_t count, const char *format, va_list arguments) {
  if (to == nullptr || format == nullptr || size == 0) return -1;
  const int length = std::vsnprintf(to, size, format, arguments);
  if (length < 0) return -1;
  if (count < size) to[count] = '\0';
  return static_cast<size_t>(length) < size && static_cast<size_t>(length) <= count ? length : -1;
}

EXPORT int snprintf_s(char *to, size_t size, size_t count, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf_s(to, size, count, format, arguments);
  va_end(arguments);
  return length;
}

EXPORT int strcpy_s(char *to, size_t size, const char *from) {
  if (to == nullptr || from == nullptr || size == 0) return EINVAL;
  const size_t length = strnlen(from, size);
  if (length == size) {
    to[0] = '\0';
    return ERANGE;
  }
  std::memcpy(to, from, length + 1);
  return 0;
}
