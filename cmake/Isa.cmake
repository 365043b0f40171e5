# Instruction-set flags are per file: src/device/cpu/<anything>_<tier>.cc is compiled for its tier and
# reached through run-time dispatch only. Everything else is baseline (x86-64-v2, or Armv8.0).
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB_RECURSE v3 CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/device/cpu/*_avx2.cc)
  file(GLOB_RECURSE v4 CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/device/cpu/*_avx512.cc)
  file(GLOB_RECURSE v4_dots CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/device/cpu/*_avx512_bf16.cc)
  set(v4_flags -march=x86-64-v4 -mprefer-vector-width=512 -O3)
  set(dots_flags -mavx512vnni -mavx512vbmi -mavx512bf16)
  if(PLUMB_EMULATE_AVX512)
    # For AVX2, with another <immintrin.h>. Unrolled loops of it would be compiled for minutes; vectors that
    # the target lacks have no calling convention of their own, which matters to nobody here.
    find_path(SIMDE_INCLUDE simde/x86/avx512.h)
    plumb_require(SIMDE_INCLUDE libsimde-dev "SIMDe")
    set(emulation ${CMAKE_SOURCE_DIR}/tests/emulation)
    set(v4_flags -march=x86-64-v3 -O2 -Wno-psabi -DPLUMB_UNROLL= -I${emulation})
    set(dots_flags -DPLUMB_EMULATE_DOTS)
    set_source_files_properties(${CMAKE_SOURCE_DIR}/src/device/cpu/isa.cc PROPERTIES COMPILE_DEFINITIONS
                                PLUMB_EMULATE_AVX512)
  endif()
  set_source_files_properties(${v3} PROPERTIES COMPILE_OPTIONS "-march=x86-64-v3;-O3")
  set_source_files_properties(${v4} PROPERTIES COMPILE_OPTIONS "${v4_flags}")
  set_source_files_properties(${v4_dots} PROPERTIES COMPILE_OPTIONS "${v4_flags};${dots_flags}")
  # What is fuzzed are parsers; kernels would be compiled for minutes.
  if(PLUMB_FUZZ)
    set_source_files_properties(${v3} PROPERTIES COMPILE_OPTIONS "-march=x86-64-v3;-O0")
    set_source_files_properties(${v4} PROPERTIES COMPILE_OPTIONS "-march=x86-64-v4;-O0")
    set_source_files_properties(${v4_dots} PROPERTIES COMPILE_OPTIONS
      "-march=x86-64-v4;-mavx512vnni;-mavx512vbmi;-mavx512bf16;-O0")
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  file(GLOB_RECURSE neon CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/device/cpu/*_neon.cc)
  file(GLOB_RECURSE neon_dots CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/device/cpu/*_neon_bf16.cc)
  set_source_files_properties(${neon} PROPERTIES COMPILE_OPTIONS "-O3")
  set_source_files_properties(${neon_dots} PROPERTIES COMPILE_OPTIONS "-march=armv8.2-a+dotprod+bf16;-O3")
endif()
