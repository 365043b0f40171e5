// <immintrin.h> with AVX-512 that runs on AVX2: for the files of the AVX-512 tiers in a build with
// PLUMB_EMULATE_AVX512, so that their tests run where the instructions do not exist. Most of it is
// SIMDe; what that lacks is in beside.h. Slow, and of no use but to tests.
//
// What these files ask the compiler's macros then answers as if it had the instructions. An
// intrinsic that neither knows does not compile: the compiler has no such instruction here.
#pragma once

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include "beside.h"

#define __AVX512F__ 1
#if defined(PLUMB_EMULATE_DOTS)
#define __AVX512VNNI__ 1
#define __AVX512VBMI__ 1
#define __AVX512BF16__ 1
#endif
