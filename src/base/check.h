// Checks for our own bugs: always on, one sentence, then abort. Never for foreign input.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace plumb {

[[noreturn]] inline void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: this should be impossible: %s\n", file, line, what);
  std::abort();
}

}  // namespace plumb

#define PLUMB_CHECK(condition)                                      \
  do {                                                              \
    if (!(condition)) ::plumb::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

// For inner loops of kernels: compiled out of release builds.
#ifdef NDEBUG
#define PLUMB_DCHECK(condition) static_cast<void>(0)
#else
#define PLUMB_DCHECK(condition) PLUMB_CHECK(condition)
#endif
