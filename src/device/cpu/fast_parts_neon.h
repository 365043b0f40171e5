// What products of `fast` numerics on NEON are made of: activations as int8 or bfloat16 rows,
// weights as what meets them. Included by the files of tiers that have both dot products (see
// lanes.h).
//
// 16 bytes of a unit are four rows. Both instructions (sdot, bfdot) take four bytes of each and one
// group of four bytes of an activation row, which stays where it is in its register: a load of the
// row serves four groups, for every row of the tile. What meets such a group is called a lane of
// weights here; lanes come in pairs, since eight bytes of activations meet what a unit of E2M1 or
// E4M3 decodes to, or two units of bfloat16 as they lie.
#pragma once

#include "device/cpu/fast_common.h"

namespace plumb::cpu::PLUMB_TIER {

// A prepared row. bfloat16: the columns, then zeros, so that 16 bytes can be read from any multiple
// of four columns on. int8: all codes, per eight columns 0 2 4 6 1 3 5 7 (as the nibbles of a unit
// come apart), filled up to whole groups; then half the scale of every group (weights are doubled
// to be integers).
PLUMB_TIER_INLINE int bf16_columns(int cols) { return (cols + 3) / 4 * 4 + 4; }

static std::size_t prepared_bytes(FastInput kind, int cols) {
  if (kind == FastInput::kBf16) return static_cast<std::size_t>(bf16_columns(cols)) * 2;
  return static_cast<std::size_t>(int8_groups(cols)) * (kInt8Group + sizeof(float));
}

PLUMB_TIER_INLINE void prepare_bf16(const float* x, int cols, std::byte* out) {
  int i = 0;
  for (; i + 8 <= cols; i += 8) {
    const bfloat16x8_t low = vcvtq_low_bf16_f32(vld1q_f32(x + i));
    vst1q_u8(reinterpret_cast<std::uint8_t*>(out + 2 * i),
             vreinterpretq_u8_bf16(vcvtq_high_bf16_f32(low, vld1q_f32(x + i + 4))));
  }
  for (; i < bf16_columns(cols); ++i) {
    const std::uint16_t bits = i < cols ? float_to_bf16(x[i]) : std::uint16_t{0};
    __builtin_memcpy(out + 2 * i, &bits, 2);
  }
}

// Four codes, to nearest even.
PLUMB_TIER_INLINE int16x4_t int8_codes(const float* x, float inverse) {
  return vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse)));
}

// The width is a multiple of 32 (fast_input()). A NaN makes its group's scale one.
PLUMB_TIER_INLINE void prepare_int8(const float* x, int cols, std::byte* out) {
  const int groups = int8_groups(cols);
  auto* scale = reinterpret_cast<float*>(out + groups * kInt8Group);
  alignas(16) static constexpr std::int8_t kOrder[16] = {0, 2,  4,  6,  1, 3,  5,  7,
                                                         8, 10, 12, 14, 9, 11, 13, 15};
  const uint8x16_t order = vreinterpretq_u8_s8(vld1q_s8(kOrder));
  for (int g = 0; g < groups; ++g) {
    const int first = g * kInt8Group, end = first + kInt8Group < cols ? first + kInt8Group : cols;
    float32x4_t most = vdupq_n_f32(0);
    for (int i = first; i < end; i += 4) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + i)));
    const float amax = vmaxvq_f32(most);
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f;
    scale[g] = amax / 127.0f * 0.5f;
    for (int i = first; i < first + kInt8Group; i += 16) {
      int8x16_t codes = vdupq_n_s8(0);
      if (i < end) {
        const int16x8_t low =
            vcombine_s16(int8_codes(x + i, inverse), int8_codes(x + i + 4, inverse));
        const int16x8_t high =
            vcombine_s16(int8_codes(x + i + 8, inverse), int8_codes(x + i + 12, inverse));
        codes = vqtbl1q_s8(vcombine_s8(vmovn_s16(low), vmovn_s16(high)), order);
      }
      vst1q_s8(reinterpret_cast<std::int8_t*>(out + i), codes);
    }
  }
}

static void prepare(FastInput kind, const float* x, int cols, std::byte* out) {
  if (kind == FastInput::kBf16) return prepare_bf16(x, cols, out);
  prepare_int8(x, cols, out);
}

template <class Register>
PLUMB_TIER_INLINE Register read_register(const std::byte* p) {
  static_assert(sizeof(Register) == 16);
  Register v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// acc[r] += the four bytes of row r times those of lane L.
template <int L>
PLUMB_TIER_INLINE int32x4_t add_dots(int32x4_t acc, int8x16_t w, int8x16_t x) {
  return vdotq_laneq_s32(acc, w, x, L);
}
template <int L>
PLUMB_TIER_INLINE float32x4_t add_dots(float32x4_t acc, bfloat16x8_t w, bfloat16x8_t x) {
  return vbfdotq_laneq_f32(acc, w, x, L);
}

// Where pairs of lanes come from: read() gives those of rows 4 q to 4 q + 3 of the tile at `p`.
struct Int8Lanes {
  using Weights = int8x16_t;  // and activations
  using Sums = int32x4_t;
};
struct Bf16Lanes {
  using Weights = bfloat16x8_t;
  using Sums = float32x4_t;
};

template <Element E>
class Coded;

// Left alone, the compiler loads and decodes far ahead and puts accumulators aside for it.
PLUMB_TIER_INLINE void load_no_earlier() { asm volatile("" ::: "memory"); }

// Twice the value. The lower nibbles are the columns 0 2 4 6, the upper ones 1 3 5 7.
template <>
class Coded<Element::kF4E2M1> {
 public:
  using Lanes = Int8Lanes;
  using Weights = Lanes::Weights;
  using Sums = Lanes::Sums;
  static constexpr int kCols = 8;  // of a pair
  PLUMB_TIER_INLINE Coded load() {
    alignas(16) static constexpr std::int8_t kDoubled[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                             0, -1, -2, -3, -4, -6, -8, -12};
    Coded t;
    t.values_ = vld1q_s8(kDoubled);
    return t;
  }
  [[gnu::always_inline]] inline void read(const std::byte* p, int q, Weights& first,
                                          Weights& second) const {
    load_no_earlier();
    const uint8x16_t v = load_bytes(p + 16 * q);
    first = vqtbl1q_s8(values_, vandq_u8(v, vdupq_n_u8(15)));
    second = vqtbl1q_s8(values_, vshrq_n_u8(v, 4));
  }

 private:
  int8x16_t values_;
};

// A code's bits are those of bfloat16 with another bias, but for codes below 8, which are
// subnormal; a table has both bytes of the codes below 16.
template <>
class Coded<Element::kF8E4M3> {
 public:
  using Lanes = Bf16Lanes;
  using Weights = Lanes::Weights;
  using Sums = Lanes::Sums;
  static constexpr int kCols = 4;
  PLUMB_TIER_INLINE Coded load() {
    alignas(16) static constexpr std::uint8_t kHigh[16] = {0,    0x3b, 0x3b, 0x3b, 0x3c, 0x3c,
                                                           0x3c, 0x3c, 0x3c, 0x3c, 0x3c, 0x3c,
                                                           0x3c, 0x3c, 0x3c, 0x3c};
    alignas(16) static constexpr std::uint8_t kLow[16] = {
        0, 0, 0x80, 0xc0, 0, 0x20, 0x40, 0x60, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0};
    Coded t;
    t.high_ = vld1q_u8(kHigh);
    t.low_ = vld1q_u8(kLow);
    return t;
  }
  // The lower half of 16 bytes are the columns 0 and 1, the upper 2 and 3.
  [[gnu::always_inline]] inline void read(const std::byte* p, int q, Weights& first,
                                          Weights& second) const {
    load_no_earlier();
    const uint8x16_t v = load_bytes(p + 16 * q), sign = vdupq_n_u8(0x80);
    const uint8x16_t size = vbicq_u8(v, sign);
    const uint8x16_t low = vqtbx1q_u8(vshlq_n_u8(v, 4), low_, size);
    const uint8x16_t high = vqtbx1q_u8(vsraq_n_u8(vdupq_n_u8(0x3c), size, 4), high_, size);
    const uint8x16_t with_sign = vbslq_u8(sign, v, high);
    first = vreinterpretq_bf16_u8(vzip1q_u8(low, with_sign));
    second = vreinterpretq_bf16_u8(vzip2q_u8(low, with_sign));
  }

 private:
  uint8x16_t high_, low_;
};

// Two units of bfloat16, `apart` bytes from each other; of an odd number the last one goes alone.
class PlainUnits {
 public:
  using Weights = Bf16Lanes::Weights;
  using Sums = Bf16Lanes::Sums;
  explicit PlainUnits(std::ptrdiff_t apart) : apart_(apart) {}
  [[gnu::always_inline]] inline void read(const std::byte* p, int q, Weights& first,
                                          Weights& second) const {
    load_no_earlier();
    first = read_register<Weights>(p + 16 * q);
    second = read_register<Weights>(p + 16 * q + apart_);
  }

 private:
  std::ptrdiff_t apart_;
};
struct LastUnit {
  using Weights = Bf16Lanes::Weights;
  using Sums = Bf16Lanes::Sums;
  PLUMB_TIER_INLINE void read(const std::byte* p, int q, Weights& first, Weights& second) {
    first = read_register<Weights>(p + 16 * q);
    second = vreinterpretq_bf16_u8(vdupq_n_u8(0));
  }
};

// What decode() wrote.
inline constexpr int kDecodedPair = 2 * kUnitBytes;
template <class Lanes>
struct Decoded {
  using Weights = typename Lanes::Weights;
  using Sums = typename Lanes::Sums;
  PLUMB_TIER_INLINE void read(const std::byte* p, int q, Weights& first, Weights& second) {
    first = read_register<Weights>(p + 32 * q);
    second = read_register<Weights>(p + 32 * q + 16);
  }
};
template <Element E>
PLUMB_TIER_INLINE void decode(const std::byte* unit, std::ptrdiff_t stride, int pairs,
                              std::byte* to) {
  const auto codes = Coded<E>::load();
  for (int i = 0; i < pairs; ++i, unit += stride, to += kDecodedPair) {
    PLUMB_UNROLL
    for (int q = 0; q < 4; ++q) {
      typename Coded<E>::Weights lane[2];
      codes.read(unit, q, lane[0], lane[1]);
      __builtin_memcpy(to + 32 * q, lane, sizeof lane);
    }
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
