// How a row of a sequence's memory is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/number.h"

namespace plumb {

// kF32, kBF16: one number after the other.
//
// kE4M3: the columns but the last `plain` as E4M3 codes, one byte each; then the last `plain`
// columns as bfloat16; then the scales of the coded columns, one E8M0 byte per 64; then zeros up to
// a multiple of 4 bytes. 512 columns of which 64 plain: 448 + 128 + 7 + 1 = 584 bytes.
//
// kE2M1: per 32 columns 16 bytes, byte j with the code of column j in its low nibble and that of
// column j + 16 in its high one (so that unpacking 16 bytes gives two runs of 16 columns); then the
// scales, one E8M0 byte per 32; then zeros up to a multiple of 4 bytes. 128 columns: 64 + 4 = 68
// bytes.
//
// A last block of fewer columns has a scale of its own; E2M1 codes past the last column are zero.
struct RowFormat {
  enum class Kind : std::uint8_t { kF32, kBF16, kE4M3, kE2M1 };
  Kind kind = Kind::kF32;
  int plain = 0;  // kE4M3 only

  bool operator==(const RowFormat&) const = default;
};

inline constexpr RowFormat kRowF32{RowFormat::Kind::kF32, 0};
inline constexpr RowFormat kRowBF16{RowFormat::Kind::kBF16, 0};
inline constexpr RowFormat kRowE2M1{RowFormat::Kind::kE2M1, 0};
constexpr RowFormat row_e4m3(int plain) { return {RowFormat::Kind::kE4M3, plain}; }

inline constexpr int kE4M3RowBlock = 64, kE2M1RowBlock = 32;

// "f32", "bf16", "e4m3+64" (columns kept plain), "e2m1".
std::string row_format_name(RowFormat format);

PLUMB_INLINE constexpr std::size_t row_bytes(RowFormat format, int width) {
  const auto blocks = [](int cols, int block) { return (cols + block - 1) / block; };
  int bytes = 0;
  switch (format.kind) {
    case RowFormat::Kind::kF32:
      return static_cast<std::size_t>(width) * 4;
    case RowFormat::Kind::kBF16:
      return static_cast<std::size_t>(width) * 2;
    case RowFormat::Kind::kE4M3:
      bytes = width + format.plain + blocks(width - format.plain, kE4M3RowBlock);
      break;
    case RowFormat::Kind::kE2M1:
      bytes = blocks(width, kE2M1RowBlock) * (kE2M1RowBlock / 2 + 1);
      break;
  }
  return static_cast<std::size_t>((bytes + 3) / 4 * 4);
}

// Rounds `row` as the format demands, nearest with ties to even; packed blocks take the scales that
// e4m3_block_scale and e2m1_block_scale give. A row that a FakeQuantArgs of the same kind and block
// made comes back bit for bit: row_format.cc says why. A packed block with a value that is no
// finite number, or an E4M3 one with a value beyond 448 * 2^119, comes back as NaN throughout.
void encode_row(RowFormat format, const float* row, int width, std::byte* to);
void decode_row(RowFormat format, const std::byte* from, int width, float* to);

}  // namespace plumb
