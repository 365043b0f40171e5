#include "tensor/row_format.h"

#include <algorithm>
#include <cstring>

namespace plumb {
namespace {

// Why the scale need not be handed over. Let a quantiser have made v_i = c_i * s from x_i, with
// s = 2^k the least power of two not below max(amax, floor) * fp32(1/m), and c_i the codes' values
// (m = 448 for E4M3, 6 for E2M1). Here the recipe meets max|v_i| instead of amax = max|x_i|:
//   - unless the floor decided, amax / s lies in (m/2, m] but for the product's last place, and
//     rounding to a code is monotone and keeps both ends, so max|v_i| lies in [m/2 * s, m * s];
//   - m/2 * s gives the scale s/2. Then every |c_i| <= m/2, so 2 c_i is a code's value too:
//   doubling
//     leaves a mantissa as it is, and twice a subnormal is a subnormal or the first normals, which
//     lie on the same grid;
//   - anything above gives s, as m * s * fp32(1/m) rounds to s;
//   - where the floor decided, s is the least scale there is, and |v_i| <= m * s gives it again.
// v_i / s' is exact in each case, so the codes hold v_i. Signs of zeros are kept.
constexpr float kLargestScale = 0x1p119f;  // decoders multiply by 256 * scale
constexpr std::byte kNoNumber{255};

float largest(const float* x, int n, bool& finite) {
  float amax = 0;
  finite = true;
  for (int i = 0; i < n; ++i) {
    const std::uint32_t rest = float_bits(x[i]) & 0x7fffffffu;
    finite = finite && rest < 0x7f800000u;
    amax = std::max(amax, float_from_bits(rest));
  }
  return amax;
}

std::byte scale_code(float scale) {  // a normal power of two
  return static_cast<std::byte>(float_bits(scale) >> 23);
}

void encode_e4m3(const float* row, int width, int plain, std::byte* to) {
  const int coded = width - plain;
  std::byte* scales = to + coded + 2 * plain;
  for (int first = 0; first < coded; first += kE4M3RowBlock) {
    const int n = std::min(kE4M3RowBlock, coded - first);
    bool finite = true;
    const float scale = e4m3_block_scale(largest(row + first, n, finite));
    const bool good = finite && scale <= kLargestScale;
    for (int i = first; i < first + n; ++i) {
      to[i] = good ? static_cast<std::byte>(float_to_e4m3(row[i] / scale)) : std::byte{0};
    }
    *scales++ = good ? scale_code(scale) : kNoNumber;
  }
  for (int i = 0; i < plain; ++i) {
    const std::uint16_t half = float_to_bf16(row[coded + i]);
    std::memcpy(to + coded + 2 * i, &half, sizeof half);
  }
  std::fill(scales, to + row_bytes(row_e4m3(plain), width), std::byte{0});
}

void decode_e4m3(const std::byte* from, int width, int plain, float* to) {
  const int coded = width - plain;
  const std::byte* scales = from + coded + 2 * plain;
  for (int i = 0; i < coded; ++i) {
    const float scale = e8m0_to_float(static_cast<std::uint8_t>(scales[i / kE4M3RowBlock]));
    to[i] = e4m3_to_float(static_cast<std::uint8_t>(from[i])) * scale;
  }
  for (int i = 0; i < plain; ++i) {
    std::uint16_t half;
    std::memcpy(&half, from + coded + 2 * i, sizeof half);
    to[coded + i] = bf16_to_float(half);
  }
}

void encode_e2m1(const float* row, int width, std::byte* to) {
  constexpr int kHalf = kE2M1RowBlock / 2;
  const int blocks = (width + kE2M1RowBlock - 1) / kE2M1RowBlock;
  std::fill(to, to + row_bytes(kRowE2M1, width), std::byte{0});
  for (int b = 0; b < blocks; ++b) {
    const int first = b * kE2M1RowBlock, n = std::min(kE2M1RowBlock, width - first);
    bool finite = true;
    const float scale = e2m1_block_scale(largest(row + first, n, finite));
    to[blocks * kHalf + b] = finite ? scale_code(scale) : kNoNumber;
    for (int i = 0; finite && i < n; ++i) {
      const unsigned code = float_to_e2m1(row[first + i] / scale);
      to[b * kHalf + i % kHalf] |= static_cast<std::byte>(i < kHalf ? code : code << 4);
    }
  }
}

void decode_e2m1(const std::byte* from, int width, float* to) {
  constexpr int kHalf = kE2M1RowBlock / 2;
  const int blocks = (width + kE2M1RowBlock - 1) / kE2M1RowBlock;
  for (int i = 0; i < width; ++i) {
    const int b = i / kE2M1RowBlock, place = i % kE2M1RowBlock;
    const auto pair = static_cast<unsigned>(from[b * kHalf + place % kHalf]);
    const auto code = static_cast<std::uint8_t>((place < kHalf ? pair : pair >> 4) & 15u);
    const auto scale = static_cast<std::uint8_t>(from[blocks * kHalf + b]);
    to[i] = e2m1_to_float(code) * e8m0_to_float(scale);
  }
}

}  // namespace

std::string row_format_name(RowFormat format) {
  switch (format.kind) {
    case RowFormat::Kind::kF32:
      return "f32";
    case RowFormat::Kind::kBF16:
      return "bf16";
    case RowFormat::Kind::kE4M3:
      return "e4m3+" + std::to_string(format.plain);
    case RowFormat::Kind::kE2M1:
      return "e2m1";
  }
  return "";
}

void encode_row(RowFormat format, const float* row, int width, std::byte* to) {
  switch (format.kind) {
    case RowFormat::Kind::kF32:
      std::memcpy(to, row, row_bytes(format, width));
      return;
    case RowFormat::Kind::kBF16:
      for (int i = 0; i < width; ++i) {
        const std::uint16_t half = float_to_bf16(row[i]);
        std::memcpy(to + 2 * i, &half, sizeof half);
      }
      return;
    case RowFormat::Kind::kE4M3:
      return encode_e4m3(row, width, format.plain, to);
    case RowFormat::Kind::kE2M1:
      return encode_e2m1(row, width, to);
  }
}

void decode_row(RowFormat format, const std::byte* from, int width, float* to) {
  switch (format.kind) {
    case RowFormat::Kind::kF32:
      std::memcpy(to, from, row_bytes(format, width));
      return;
    case RowFormat::Kind::kBF16:
      for (int i = 0; i < width; ++i) {
        std::uint16_t half;
        std::memcpy(&half, from + 2 * i, sizeof half);
        to[i] = bf16_to_float(half);
      }
      return;
    case RowFormat::Kind::kE4M3:
      return decode_e4m3(from, width, format.plain, to);
    case RowFormat::Kind::kE2M1:
      return decode_e2m1(from, width, to);
  }
}

}  // namespace plumb
