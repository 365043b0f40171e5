// Every function of an instruction set is compiled for it by its own attribute and calls nothing,
// so the rest of the program keeps running on processors that lack it.
#include "measure/loops.h"

#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define PLUMB_FOR(isa) __attribute__((target(isa)))
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#define PLUMB_FOR(isa) __attribute__((target(isa)))
#endif

namespace plumb::measure {
namespace {

constexpr int kChains = 12;  // independent, so that latency does not show

// Multiplies and adds apart: what there is without a fused instruction.
float f32_plain(std::int64_t iterations) {
  constexpr int kLanes = 32;
  float acc[kLanes];
  for (int l = 0; l < kLanes; ++l) acc[l] = static_cast<float>(l);
  const volatile float seed = 0.999F;
  const float factor = seed;
  for (std::int64_t i = 0; i < iterations; ++i) {
    for (int l = 0; l < kLanes; ++l) acc[l] = acc[l] * factor + factor;
  }
  float sum = 0;
  for (const float a : acc) sum += a;
  return sum;
}

std::uint64_t read_plain(const std::byte* data, std::size_t bytes) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(data);
  std::uint64_t part[16] = {};
  for (std::size_t i = 0; i < bytes / 8; i += 16) {
    for (std::size_t l = 0; l < 16; ++l) part[l] |= words[i + l];
  }
  std::uint64_t all = 0;
  for (const std::uint64_t p : part) all |= p;
  return all;
}

#if defined(__x86_64__)

PLUMB_FOR("avx2,fma") float f32_avx2(std::int64_t iterations) {
  const volatile float seed = 0.999F;
  const __m256 factor = _mm256_set1_ps(seed);
  __m256 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = _mm256_set1_ps(static_cast<float>(c));
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm256_fmadd_ps(acc[c], factor, factor);
  }
  for (int c = 1; c < kChains; ++c) acc[0] = _mm256_add_ps(acc[0], acc[c]);
  return _mm256_cvtss_f32(acc[0]);
}

// Byte products are added up in pairs, pairs in 16 bits: as far as one gets without a dot product.
PLUMB_FOR("avx2") float int8_avx2(std::int64_t iterations) {
  const volatile int seed = 0x01020304;
  const __m256i a = _mm256_set1_epi32(seed);
  __m256i acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = _mm256_set1_epi32(c);
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      acc[c] = _mm256_add_epi16(acc[c], _mm256_maddubs_epi16(acc[c], a));
    }
  }
  for (int c = 1; c < kChains; ++c) acc[0] = _mm256_add_epi32(acc[0], acc[c]);
  return static_cast<float>(_mm256_extract_epi32(acc[0], 0));
}

PLUMB_FOR("avx2") std::uint64_t read_avx2(const std::byte* data, std::size_t bytes) {
  const auto* from = reinterpret_cast<const __m256i*>(data);
  __m256i part[8];
  for (__m256i& p : part) p = _mm256_setzero_si256();
  for (std::size_t i = 0; i < bytes / 32; i += 8) {
#pragma GCC unroll 8
    for (std::size_t l = 0; l < 8; ++l) {
      part[l] = _mm256_or_si256(part[l], _mm256_loadu_si256(from + i + l));
    }
  }
  for (int l = 1; l < 8; ++l) part[0] = _mm256_or_si256(part[0], part[l]);
  return static_cast<std::uint64_t>(_mm256_extract_epi64(part[0], 0));
}

PLUMB_FOR("avx512f") float f32_avx512(std::int64_t iterations) {
  const volatile float seed = 0.999F;
  const __m512 factor = _mm512_set1_ps(seed);
  __m512 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(static_cast<float>(c));
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_fmadd_ps(acc[c], factor, factor);
  }
  for (int c = 1; c < kChains; ++c) acc[0] = _mm512_add_ps(acc[0], acc[c]);
  return _mm512_cvtss_f32(acc[0]);
}

PLUMB_FOR("avx512f,avx512vnni") float int8_avx512(std::int64_t iterations) {
  const volatile int seed = 0x01020304;
  const __m512i a = _mm512_set1_epi32(seed);
  __m512i acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_epi32(c);
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_dpbusd_epi32(acc[c], a, a);
  }
  for (int c = 1; c < kChains; ++c) acc[0] = _mm512_add_epi32(acc[0], acc[c]);
  return static_cast<float>(_mm512_cvtsi512_si32(acc[0]));
}

PLUMB_FOR("avx512f,avx512bf16") float bf16_avx512(std::int64_t iterations) {
  const volatile int seed = 0x3c003c00;  // two small numbers
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi32(seed));
  __m512 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(static_cast<float>(c));
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_dpbf16_ps(acc[c], a, a);
  }
  for (int c = 1; c < kChains; ++c) acc[0] = _mm512_add_ps(acc[0], acc[c]);
  return _mm512_cvtss_f32(acc[0]);
}

PLUMB_FOR("avx512f") std::uint64_t read_avx512(const std::byte* data, std::size_t bytes) {
  __m512i part[8];
  for (__m512i& p : part) p = _mm512_setzero_si512();
  for (std::size_t i = 0; i < bytes; i += 512) {
#pragma GCC unroll 8
    for (std::size_t l = 0; l < 8; ++l) {
      part[l] = _mm512_or_si512(part[l], _mm512_loadu_si512(data + i + 64 * l));
    }
  }
  for (int l = 1; l < 8; ++l) part[0] = _mm512_or_si512(part[0], part[l]);
  std::uint64_t words[8];
  _mm512_storeu_si512(words, part[0]);
  return words[0];
}

bool has_fma() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f") != 0; }

#elif defined(__aarch64__)

constexpr int kNeonChains = 20;  // up to four products begin in a cycle, and take four or five

float f32_neon(std::int64_t iterations) {
  const volatile float seed = 0.999F;
  const float32x4_t factor = vdupq_n_f32(seed);
  float32x4_t acc[kNeonChains];
  for (int c = 0; c < kNeonChains; ++c) acc[c] = vdupq_n_f32(static_cast<float>(c));
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 20
    for (int c = 0; c < kNeonChains; ++c) acc[c] = vfmaq_f32(acc[c], factor, factor);
  }
  for (int c = 1; c < kNeonChains; ++c) acc[0] = vaddq_f32(acc[0], acc[c]);
  return vgetq_lane_f32(acc[0], 0);
}

PLUMB_FOR("arch=armv8.2-a+dotprod") float int8_neon(std::int64_t iterations) {
  const volatile int seed = 0x01020304;
  const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(seed));
  int32x4_t acc[kNeonChains];
  for (int c = 0; c < kNeonChains; ++c) acc[c] = vdupq_n_s32(c);
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 20
    for (int c = 0; c < kNeonChains; ++c) acc[c] = vdotq_s32(acc[c], a, a);
  }
  for (int c = 1; c < kNeonChains; ++c) acc[0] = vaddq_s32(acc[0], acc[c]);
  return static_cast<float>(vgetq_lane_s32(acc[0], 0));
}

PLUMB_FOR("arch=armv8.2-a+bf16") float bf16_neon(std::int64_t iterations) {
  const volatile int seed = 0x3c003c00;  // two small numbers
  const bfloat16x8_t a = vreinterpretq_bf16_s32(vdupq_n_s32(seed));
  float32x4_t acc[kNeonChains];
  for (int c = 0; c < kNeonChains; ++c) acc[c] = vdupq_n_f32(static_cast<float>(c));
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 20
    for (int c = 0; c < kNeonChains; ++c) acc[c] = vbfdotq_f32(acc[c], a, a);
  }
  for (int c = 1; c < kNeonChains; ++c) acc[0] = vaddq_f32(acc[0], acc[c]);
  return vgetq_lane_f32(acc[0], 0);
}

std::uint64_t read_neon(const std::byte* data, std::size_t bytes) {
  const auto* from = reinterpret_cast<const std::uint64_t*>(data);
  uint64x2_t part[8];
  for (uint64x2_t& p : part) p = vdupq_n_u64(0);
  for (std::size_t i = 0; i < bytes / 8; i += 16) {
#pragma GCC unroll 8
    for (std::size_t l = 0; l < 8; ++l) part[l] = vorrq_u64(part[l], vld1q_u64(from + i + 2 * l));
  }
  for (int l = 1; l < 8; ++l) part[0] = vorrq_u64(part[0], part[l]);
  return vgetq_lane_u64(part[0], 0) | vgetq_lane_u64(part[0], 1);
}

#endif

std::vector<PeakLoop> find_loops() {
  std::vector<PeakLoop> loops;
#if defined(__x86_64__)
  if (has_avx512() && __builtin_cpu_supports("avx512vnni")) {
    loops.push_back({Peak::kInt8, "vpdpbusd zmm", 128.0 * kChains, int8_avx512});
  }
  if (has_avx512() && __builtin_cpu_supports("avx512bf16")) {
    loops.push_back({Peak::kBF16, "vdpbf16ps zmm", 64.0 * kChains, bf16_avx512});
  }
  if (has_avx512()) {
    loops.push_back({Peak::kF32, "vfmadd zmm", 32.0 * kChains, f32_avx512});
    return loops;
  }
  if (has_fma()) {
    loops.push_back({Peak::kInt8, "vpmaddubsw and vpaddw ymm", 64.0 * kChains, int8_avx2});
    loops.push_back({Peak::kF32, "vfmadd ymm", 16.0 * kChains, f32_avx2});
    return loops;
  }
#elif defined(__aarch64__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) {
    loops.push_back({Peak::kInt8, "sdot 16b", 32.0 * kNeonChains, int8_neon});
  }
  if ((getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0) {
    loops.push_back({Peak::kBF16, "bfdot 8h", 16.0 * kNeonChains, bf16_neon});
  }
  loops.push_back({Peak::kF32, "fmla 4s", 8.0 * kNeonChains, f32_neon});
  return loops;
#endif
  loops.push_back({Peak::kF32, "multiply and add", 64, f32_plain});
  return loops;
}

using Reader = std::uint64_t (*)(const std::byte*, std::size_t);

Reader find_reader() {
#if defined(__x86_64__)
  if (has_avx512()) return read_avx512;
  if (__builtin_cpu_supports("avx2")) return read_avx2;
#elif defined(__aarch64__)
  return read_neon;
#endif
  return read_plain;
}

}  // namespace

std::span<const PeakLoop> peak_loops() {
  static const std::vector<PeakLoop> loops = find_loops();
  return loops;
}

std::uint64_t read_memory(const std::byte* data, std::size_t bytes) {
  static const Reader reader = find_reader();
  return reader(data, bytes);
}

}  // namespace plumb::measure
