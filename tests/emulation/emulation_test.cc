// The software that stands for AVX-512 does what Intel's manual says. Built with
// PLUMB_EMULATE_AVX512 only.
#include <gtest/gtest.h>
#include <immintrin.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#if !defined(SIMDE_X86_AVX512_H)
#error "this is the compiler's own <immintrin.h>"
#endif

namespace plumb {
namespace {

using Floats = std::array<float, 16>;
using Bytes = std::array<std::uint8_t, 64>;
using Dwords = std::array<std::uint32_t, 16>;

template <class T>
__m512i vector_of(const T& x) {
  return std::bit_cast<__m512i>(x);
}
__m512 floats(float x) { return _mm512_set1_ps(x); }
float bits(std::uint32_t x) { return std::bit_cast<float>(x); }
// A pair of numbers that bfloat16 holds.
__m512bh pairs(float upper, float lower) {
  const auto dword = (std::bit_cast<std::uint32_t>(upper) & 0xffff0000) |
                     std::bit_cast<std::uint32_t>(lower) >> 16;
  return std::bit_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(dword)));
}

TEST(Emulation, Bfloat16IsTheNearestTiesToEvenAndNeverSubnormal) {
  const std::array<std::pair<std::uint32_t, std::uint16_t>, 16> cases = {{
      {0x3f800000, 0x3f80},  // 1
      {0x3f807fff, 0x3f80},  // below the middle
      {0x3f808000, 0x3f80},  // the middle, even below
      {0x3f818000, 0x3f82},  // the middle, even above
      {0x3f808001, 0x3f81},  // above the middle
      {0xbf818000, 0xbf82},  // the same with a sign
      {0x3fffffff, 0x4000},  // into the next power of two
      {0x7f7fffff, 0x7f80},  // the largest number: infinity
      {0x7f800000, 0x7f80},  // infinity
      {0xff800000, 0xff80},
      {0x7f800001, 0x7fc0},  // signalling: quiet, not infinity
      {0xffffffff, 0xffff},
      {0x007fffff, 0x0000},  // subnormal, although it would round to a normal number
      {0x807fffff, 0x8000},
      {0x00800000, 0x0080},  // the least normal number
      {0x80000000, 0x8000},
  }};
  Floats in{};
  for (std::size_t i = 0; i < 16; ++i) in[i] = bits(cases[i].first);
  const __m512 v = _mm512_loadu_ps(in.data());
  const auto alone = std::bit_cast<std::array<std::uint16_t, 16>>(_mm512_cvtneps_pbh(v));
  const auto both =
      std::bit_cast<std::array<std::uint16_t, 32>>(_mm512_cvtne2ps_pbh(floats(2.0f), v));
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(alone[i], cases[i].second) << std::hex << cases[i].first;
    EXPECT_EQ(both[i], cases[i].second) << std::hex << cases[i].first;
    EXPECT_EQ(both[16 + i], 0x4000);
  }
}

float dot(float sum, std::pair<float, float> a, std::pair<float, float> b) {
  return _mm512_cvtss_f32(
      _mm512_dpbf16_ps(floats(sum), pairs(a.first, a.second), pairs(b.first, b.second)));
}

TEST(Emulation, DotProductsOfPairsAreTwoFusedStepsTheUpperFirst) {
  EXPECT_EQ(dot(1, {2, 3}, {5, 7}), 32);
  EXPECT_EQ(dot(1, {0x1p12f, 1}, {0x1p12f, 1}), 0x1p24f);  // 1 + 1 first would give 2^24 + 2
  EXPECT_EQ(dot(1, {0x1p-12f, 0x1p-12f}, {0x1p-12f, 0x1p-12f}), 1.0f);  // each step rounds
  // A product is not rounded before it is added: 1.0078125^2 - 1 keeps its last bit.
  EXPECT_EQ(dot(-0x1p24f, {0x1p12f, 0x1.02p0f}, {0x1p12f, 0x1.02p0f}), 0x1.0404p0f);
}

TEST(Emulation, DotProductsTakeSubnormalsForZeros) {
  const float least = std::numeric_limits<float>::min(), sub = least / 2;
  EXPECT_EQ(dot(0, {sub, 0}, {0x1p100f, 0}), 0) << "input";
  EXPECT_EQ(dot(sub, {0, 0}, {0, 0}), 0) << "sum";
  EXPECT_EQ(dot(0, {0x1p-70f, 0}, {0x1p-70f, 0}), 0) << "product";
  EXPECT_EQ(dot(0, {0x1p-63f, 0x1p-63f}, {0x1p-64f, 0x1p-64f}), 0) << "between the steps";
  EXPECT_EQ(dot(0, {0x1p-63f, 0}, {0x1p-63f, 0}), least) << "normal";
  EXPECT_TRUE(std::signbit(dot(-sub, {0, 0}, {-1, -1}))) << "of their sign";
  EXPECT_TRUE(std::isnan(dot(0, {0, std::nanf("")}, {0, 1})));
  EXPECT_EQ(dot(0, {INFINITY, 0}, {1, 0}), INFINITY);
}

TEST(Emulation, BytesTimesBytesAreUnsignedTimesSigned) {
  std::mt19937 random(1);
  Bytes a{}, b{};
  for (int i = 0; i < 64; ++i)
    a[i] = static_cast<std::uint8_t>(random()), b[i] = static_cast<std::uint8_t>(random());
  a[0] = a[1] = a[2] = a[3] = 255;  // no saturation on the way
  b[0] = b[1] = b[2] = b[3] = 0x80;
  const auto got = std::bit_cast<std::array<int, 16>>(
      _mm512_dpbusd_epi32(_mm512_set1_epi32(7), vector_of(a), vector_of(b)));
  for (int i = 0; i < 16; ++i) {
    int expected = 7;
    for (int j = 4 * i; j < 4 * i + 4; ++j) expected += a[j] * static_cast<std::int8_t>(b[j]);
    EXPECT_EQ(got[i], expected) << i;
  }
}

TEST(Emulation, PermutationsTakeTheBitsOfTheirIndexThatCount) {
  std::mt19937 random(2);
  Bytes index{}, a{}, b{};
  for (int i = 0; i < 64; ++i) {
    index[i] = static_cast<std::uint8_t>(random());
    a[i] = static_cast<std::uint8_t>(i);
    b[i] = static_cast<std::uint8_t>(128 + i);
  }
  const auto one = std::bit_cast<Bytes>(_mm512_permutexvar_epi8(vector_of(index), vector_of(a)));
  const auto two =
      std::bit_cast<Bytes>(_mm512_permutex2var_epi8(vector_of(a), vector_of(index), vector_of(b)));
  const auto lanes = std::bit_cast<Bytes>(_mm512_shuffle_epi8(vector_of(a), vector_of(index)));
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(one[i], a[index[i] & 63]);
    EXPECT_EQ(two[i], (index[i] & 64) != 0 ? b[index[i] & 63] : a[index[i] & 63]);
    EXPECT_EQ(lanes[i], index[i] > 127 ? 0 : a[i / 16 * 16 + (index[i] & 15)]);
  }
  Floats x{};
  for (int i = 0; i < 16; ++i) x[i] = static_cast<float>(i);
  const auto four =
      std::bit_cast<Floats>(_mm512_permute_ps(_mm512_loadu_ps(x.data()), 0b00'11'10'01));
  for (int i = 0; i < 16; ++i) EXPECT_EQ(four[i], i / 4 * 4 + (i + 1) % 4);
}

TEST(Emulation, ConversionsTruncateIntegersAndRoundNumbers) {
  Dwords x{};
  for (std::uint32_t i = 0; i < 16; ++i) x[i] = 0x01fefe00u * (i % 2) + 0x0000fff0u + i;
  const __m512i v = vector_of(x);
  const auto bytes = std::bit_cast<std::array<std::uint8_t, 16>>(_mm512_cvtepi32_epi8(v));
  const auto words = std::bit_cast<std::array<std::uint16_t, 16>>(_mm512_cvtepi32_epi16(v));
  const auto shifted =
      std::bit_cast<std::array<int, 16>>(_mm512_srai_epi32(_mm512_set1_epi32(-5), 1));
  const Floats numbers = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 3.49f, 1e9f, -2.5f};
  const auto whole =
      std::bit_cast<std::array<int, 16>>(_mm512_cvtps_epi32(_mm512_loadu_ps(numbers.data())));
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(bytes[i], x[i] & 255);
    EXPECT_EQ(words[i], x[i] & 65535);
    EXPECT_EQ(shifted[i], -3);
    EXPECT_EQ(whole[i], static_cast<int>(std::nearbyintf(numbers[i])));
  }
  EXPECT_EQ(std::bit_cast<Floats>(_mm512_cvtepi32_ps(_mm512_set1_epi32(-(1 << 24) - 1)))[15],
            -0x1p24f);
  EXPECT_EQ(_mm512_reduce_add_epi32(_mm512_set1_epi32(1 << 28)), 0);
}

TEST(Emulation, MasksKeepTheRestOfMemoryUntouched) {
  const std::size_t page = 4096;
  auto* memory = static_cast<std::uint8_t*>(
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(mprotect(memory + page, page, PROT_NONE), 0);
  auto* last = reinterpret_cast<float*>(memory + page) - 3;
  last[0] = 1, last[1] = 2, last[2] = 3;
  const auto got = std::bit_cast<Floats>(_mm512_maskz_loadu_ps(0b111, last));
  EXPECT_EQ(got, (Floats{1, 2, 3}));
  auto* words = reinterpret_cast<std::uint16_t*>(memory + page) - 2;
  _mm256_mask_storeu_epi16(words, 0b10, _mm256_set1_epi16(0x1234));
  EXPECT_EQ(words[0], std::bit_cast<std::uint32_t>(3.0f) & 0xffff);
  EXPECT_EQ(words[1], 0x1234);
  munmap(memory, 2 * page);
}

TEST(EmulationDeathTest, AlignedAccessMustBeAligned) {
  alignas(64) std::uint8_t memory[128] = {};
  _mm512_store_si512(memory + 64, _mm512_load_si512(memory));
  EXPECT_DEATH(_mm512_store_si512(memory + 32, _mm512_setzero_si512()), "");
  EXPECT_DEATH(std::printf("%d", _mm512_cvtsi512_si32(_mm512_load_si512(memory + 4))), "");
}

}  // namespace
}  // namespace plumb
