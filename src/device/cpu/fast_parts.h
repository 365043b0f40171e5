// What products of `fast` numerics are made of: activations as int8 or bfloat16 rows, weights as
// bytes or pairs of bfloat16. Included by the files of tiers that have both dot products (see
// lanes.h).
#pragma once

#include "device/cpu/fast_common.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kTokensAtOnce = 6;  // in registers
inline constexpr int kManyFrom = 25;     // tokens, for which weights are decoded beforehand

// A prepared row. bfloat16: the columns, filled up with zeros to a multiple of 4. int8: all codes,
// per eight columns 0 2 4 6 1 3 5 7 (as the nibbles of a unit come apart), filled up to whole
// groups; then half the scale of every group (weights are doubled to be integers); then for every
// 32 columns -12 times the sum of their codes (weights have 12 added to be unsigned).
static std::size_t prepared_bytes(FastInput kind, int cols) {
  if (kind == FastInput::kBf16) return static_cast<std::size_t>((cols + 3) / 4) * 8;
  return static_cast<std::size_t>(int8_groups(cols)) *
         (kInt8Group + 4 + 4 * kInt8Group / kFp4Block);
}

PLUMB_TIER_INLINE __mmask16 first_lanes(int n) {
  return n >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (n > 0 ? n : 0)) - 1);
}

PLUMB_TIER_INLINE void prepare_bf16(const float* x, int cols, std::byte* out) {
  const int padded = (cols + 3) / 4 * 4;
  for (int i = 0; i < padded; i += 16) {
    const __m512 v = _mm512_maskz_loadu_ps(first_lanes(cols - i), x + i);
    _mm256_mask_storeu_epi16(out + 2 * i, first_lanes(padded - i),
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
  }
}

// Codes of 16 columns from `at`, as signed dwords.
PLUMB_TIER_INLINE __m512i int8_codes(const float* x, int cols, int at, float inverse) {
  const __m512 v = _mm512_maskz_loadu_ps(first_lanes(cols - at), x + at);
  return _mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(inverse)));
}

PLUMB_TIER_INLINE void prepare_int8(const float* x, int cols, std::byte* out) {
  const int groups = int8_groups(cols);
  auto* scale = reinterpret_cast<float*>(out + groups * kInt8Group);
  auto* correction = reinterpret_cast<std::int32_t*>(scale + groups);
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  for (int g = 0; g < groups; ++g) {
    const int first = g * kInt8Group;
    __m512 most = _mm512_setzero_ps();
    for (int i = first; i < first + kInt8Group; i += 16) {
      const __m512 v = _mm512_maskz_loadu_ps(first_lanes(cols - i), x + i);
      most = _mm512_max_ps(most, _mm512_abs_ps(v));
    }
    const float amax = _mm512_reduce_max_ps(most);
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f;
    scale[g] = amax / 127.0f * 0.5f;
    for (int b = first; b < first + kInt8Group; b += kFp4Block) {
      const __m512i low = int8_codes(x, cols, b, inverse);
      const __m512i high = int8_codes(x, cols, b + 16, inverse);
      correction[b / kFp4Block] = -12 * _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + b),
                       _mm_shuffle_epi8(_mm512_cvtepi32_epi8(low), order));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + b + 16),
                       _mm_shuffle_epi8(_mm512_cvtepi32_epi8(high), order));
    }
  }
}

static void prepare(FastInput kind, const float* x, int cols, std::byte* out) {
  if (kind == FastInput::kBf16) return prepare_bf16(x, cols, out);
  prepare_int8(x, cols, out);
}

// The upper and the lower byte of the bfloat16 number that an E4M3 code without its sign stands
// for.
struct E4m3Bytes {
  alignas(64) std::uint8_t high[128], low[128];
};
static constexpr E4m3Bytes make_e4m3_bytes() {
  E4m3Bytes bytes{};
  for (int code = 0; code < 127; ++code) {
    int exponent = code / 8, mantissa = code % 8;
    unsigned bits = 0;
    if (exponent == 0 && mantissa > 0) {  // mantissa * 2^-9
      int shift = 0;
      while (mantissa < 8) mantissa *= 2, ++shift;
      bits = static_cast<unsigned>(127 - 6 - shift) << 7 | static_cast<unsigned>(mantissa % 8) << 4;
    } else if (exponent > 0) {
      bits = static_cast<unsigned>(127 - 7 + exponent) << 7 | static_cast<unsigned>(mantissa) << 4;
    }
    bytes.high[code] = static_cast<std::uint8_t>(bits >> 8);
    bytes.low[code] = static_cast<std::uint8_t>(bits & 255);
  }
  return bytes;
}
static constexpr E4m3Bytes kE4m3Bytes = make_e4m3_bytes();

// A unit of E4M3 as pairs of bfloat16 in 16 lanes: columns 0 and 1, then 2 and 3.
class E4m3Pairs {
 public:
  PLUMB_TIER_INLINE E4m3Pairs load() {
    E4m3Pairs t;
    t.high_[0] = _mm512_load_si512(kE4m3Bytes.high);
    t.high_[1] = _mm512_load_si512(kE4m3Bytes.high + 64);
    t.low_[0] = _mm512_load_si512(kE4m3Bytes.low);
    t.low_[1] = _mm512_load_si512(kE4m3Bytes.low + 64);
    return t;
  }
  [[gnu::always_inline]] inline void read(const std::byte* p, __m512bh& first,
                                          __m512bh& second) const {
    const __m512i v = _mm512_loadu_si512(p);
    const __m512i size = _mm512_permutex2var_epi8(high_[0], v, high_[1]);
    const __m512i high =  // with the sign: size | (v & 0x80)
        _mm512_ternarylogic_epi32(size, v, _mm512_set1_epi8(-128), 0xf8);
    const __m512i low = _mm512_permutex2var_epi8(low_[0], v, low_[1]);
    first = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi8(low, high));
    second = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi8(low, high));
  }

 private:
  __m512i high_[2], low_[2];
};

// A unit of E2M1 as unsigned bytes, twice the value plus 12: columns 0 2 4 6, then 1 3 5 7, of 16
// rows.
class E2m1Bytes {
 public:
  PLUMB_TIER_INLINE E2m1Bytes load() {
    E2m1Bytes t;
    t.values_ = _mm512_broadcast_i32x4(
        _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    return t;
  }
  [[gnu::always_inline]] inline void read(const std::byte* p, __m512i& even, __m512i& odd) const {
    const __m512i v = _mm512_loadu_si512(p), nibble = _mm512_set1_epi8(15);
    even = _mm512_shuffle_epi8(values_, _mm512_and_si512(v, nibble));
    odd = _mm512_shuffle_epi8(values_, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble));
  }

 private:
  __m512i values_;
};

}  // namespace plumb::cpu::PLUMB_TIER
