// What GCC 12's headers ask of a libstdc++ and a glibc newer than the oldest that the wheels load on. It is linked into each
// library that needs it and hidden there.
#include <pthread.h>
#include <time.h>

#include <cstdint>
#include <new>
#include <sstream>

// glibc 2.32: false only asks shared_ptr to count for several threads.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 0;

// glibc 2.30. A std::condition_variable asks its own clock again after each return.
extern "C" int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                                      const timespec *until) {
  constexpr int64_t second = 1000000000;
  timespec now, end;
  clock_gettime(clock, &now);
  clock_gettime(CLOCK_REALTIME, &end);
  const int64_t left = (until->tv_sec - now.tv_sec) * second + (until->tv_nsec - now.tv_nsec) + end.tv_nsec;
  end.tv_sec += left / second;
  end.tv_nsec = left % second;
  if (end.tv_nsec < 0) {
    end.tv_sec -= 1;
    end.tv_nsec += second;
  }
  return pthread_cond_timedwait(condition, mutex, &end);
}

namespace std {
void __throw_bad_array_new_length() { throw bad_array_new_length(); }  // GLIBCXX_3.4.29
template basic_ostringstream<char>::basic_ostringstream();             // GLIBCXX_3.4.26
}  // namespace std
