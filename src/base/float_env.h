// The floating-point environment every computing thread runs in.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cfenv>

namespace plumb {

// While alive, this thread rounds to nearest, keeps subnormals and traps nothing, whatever a host
// program or an earlier library left behind; the old state returns at the end. Every thread that
// computes holds one, so results are the same bytes on all of them.
class ScopedFloatEnv {
 public:
#if defined(__x86_64__)
  ScopedFloatEnv() : saved_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~ScopedFloatEnv() { _mm_setcsr(saved_); }

 private:
  static constexpr unsigned kDefault = 0x1f80;  // all exceptions masked, nearest, no FTZ, no DAZ
  unsigned saved_;
#elif defined(__aarch64__)
  ScopedFloatEnv() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(0ul));
  }
  ~ScopedFloatEnv() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  unsigned long saved_;
#else
  ScopedFloatEnv() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~ScopedFloatEnv() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif

 public:
  ScopedFloatEnv(const ScopedFloatEnv&) = delete;
  ScopedFloatEnv& operator=(const ScopedFloatEnv&) = delete;
};

}  // namespace plumb
