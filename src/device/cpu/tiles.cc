#include "device/cpu/tiles.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/check.h"
#include "tensor/format.h"

namespace plumb::cpu {
namespace {

constexpr int kLargestScaleCode = 127 + 119;

// Of the element at column `col` of a unit, in row `lane` of its tile.
std::size_t byte_in_unit(int code_bits, int lane, int col) {
  const int at = code_bits == 8 ? lane / 4 * 16 + col / 2 * 8 + lane % 4 * 2 + col % 2
                                : lane * 4 + col * code_bits / 8;
  return static_cast<std::size_t>(at);
}

// Where the pieces of one row lie in a tiled weight.
class RowPlace {
 public:
  RowPlace(const TileShape& shape, int row)
      : shape_(shape), tile_(row / kTileRows), lane_(static_cast<std::size_t>(row % kTileRows)) {
    const int panel = tile_ / kPanelTiles;
    start_ = shape.panel_offset(panel);
    width_ = static_cast<std::size_t>(shape.panel_tiles(panel));
    sub_ = static_cast<std::size_t>(tile_ % kPanelTiles);
  }

  // Byte offset of this row's scale in group g.
  std::size_t scale(int g) const {
    return group(g) + sub_ * shape_.scales() + lane_ * static_cast<std::size_t>(shape_.scale_bytes);
  }
  // Byte offset of the unit that holds column `col`, and of the next one.
  std::size_t unit(int col) const {
    const int g = col / shape_.group_cols;
    const auto index = static_cast<std::size_t>((col - g * shape_.group_cols) / shape_.unit_cols());
    return group(g) + width_ * shape_.scales() + (index * width_ + sub_) * kUnitBytes;
  }
  std::size_t unit_stride() const { return width_ * kUnitBytes; }
  // From a group to the next one.
  std::size_t group_stride() const {
    return width_ * (shape_.scales() + shape_.codes(shape_.group_cols));
  }
  // Byte offset of the element at `col` (of the byte with it and its neighbour when 4-bit).
  std::size_t code(int col) const {
    const int within = (col % shape_.group_cols) % shape_.unit_cols();
    return unit(col) + byte_in_unit(shape_.code_bits, static_cast<int>(lane_), within);
  }

 private:
  std::size_t group(int g) const { return start_ + static_cast<std::size_t>(g) * group_stride(); }

  TileShape shape_;
  int tile_;
  std::size_t lane_, start_ = 0, width_ = 0, sub_ = 0;
};

Error corrupt(const char* what, int row) {
  return {Code::kCorrupt, "Row " + std::to_string(row) + " of a weight holds " + what + "."};
}

// A NaN code anywhere in a row of E4M3 bytes.
bool has_nan_code(const std::byte* codes, int count) {
  bool found = false;
  for (int i = 0; i < count; ++i) found |= (codes[i] & std::byte{0x7f}) == std::byte{0x7f};
  return found;
}

Status tile_scales(const WeightView& host, const TileShape& shape, int row, std::byte* to) {
  const RowPlace place(shape, row);
  const auto bytes = static_cast<std::size_t>(shape.scale_bytes);
  const auto first = static_cast<std::size_t>(row / host.format.block_rows) *
                     static_cast<std::size_t>(shape.groups());
  const std::byte* from = host.scales + first * bytes;
  const std::size_t stride = place.group_stride();
  to += place.scale(0);
  if (bytes == sizeof(float)) {
    for (int g = 0; g < shape.groups(); ++g, to += stride) std::memcpy(to, from + 4 * g, 4);
    return {};
  }
  auto largest = std::byte{0};
  for (int g = 0; g < shape.groups(); ++g, to += stride) {
    *to = from[g];
    largest = std::max(largest, from[g]);
  }
  if (static_cast<int>(largest) <= kLargestScaleCode) return {};
  return corrupt(largest == std::byte{255} ? "a scale that is NaN" : "a scale above 2^119", row);
}

// The four bytes of a row and a unit, to their places.
template <int Bits>
void put_dword(const std::byte* from, std::size_t bytes, int lane, std::byte* unit) {
  std::byte dword[4] = {};
  std::memcpy(dword, from, bytes);
  std::memcpy(unit + byte_in_unit(Bits, lane, 0), dword, Bits == 8 ? 2 : 4);
  if (Bits == 8) std::memcpy(unit + byte_in_unit(Bits, lane, 2), dword + 2, 2);
}

using Quad = std::uint32_t __attribute__((vector_size(16)));
using Words = std::uint16_t __attribute__((vector_size(16)));

Quad load_quad(const std::byte* p) {
  Quad v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// 16 bytes of each of four rows, as they stand in four units.
template <int Bits>
void transpose(const std::byte* rows, std::size_t stride, Quad (&out)[4]) {
  const Quad a = load_quad(rows), b = load_quad(rows + stride);
  const Quad c = load_quad(rows + 2 * stride), d = load_quad(rows + 3 * stride);
  const Quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Quad cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Quad ab_next = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_next = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  out[0] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  out[1] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  out[2] = __builtin_shufflevector(ab_next, cd_next, 0, 1, 4, 5);
  out[3] = __builtin_shufflevector(ab_next, cd_next, 2, 3, 6, 7);
  if (Bits != 8) return;
  for (Quad& q : out) {
    const auto w = reinterpret_cast<Words>(q);
    q = reinterpret_cast<Quad>(__builtin_shufflevector(w, w, 0, 2, 4, 6, 1, 3, 5, 7));
  }
}

// A whole tile, 16 bytes of a row at a time, as far as groups and rows are made of such pieces.
// Gives the first column that is left.
template <int Bits>
int spread_tile(const WeightView& host, const TileShape& shape, int first, std::byte* to) {
  constexpr int kCols = 128 / Bits, kAtOnce = 4;
  if (shape.group_cols % kCols != 0 && shape.groups() > 1) return 0;
  const RowPlace place(shape, first);
  const std::size_t stride = row_bytes(host.format, host.cols);
  const std::byte* rows = host.data + static_cast<std::size_t>(first) * stride;
  const int pieces = host.cols / kCols;
  for (int p = 0; p < pieces; p += kAtOnce) {
    const int some = std::min(kAtOnce, pieces - p);
    std::byte* unit[kAtOnce];
    for (int i = 0; i < some; ++i) unit[i] = to + place.unit((p + i) * kCols);
    // A line of a row at a time: rows often lie so far apart that lines of few of them stay near.
    for (std::size_t lane = 0; lane < kTileRows; lane += 4) {
      for (int i = 0; i < some; ++i) {
        Quad dwords[4];
        transpose<Bits>(rows + lane * stride + static_cast<std::size_t>(p + i) * 16, stride,
                        dwords);
        for (std::size_t j = 0; j < 4; ++j) {
          std::memcpy(unit[i] + j * place.unit_stride() + lane * 4, &dwords[j], 16);
        }
      }
    }
  }
  return pieces * kCols;
}

// Rows first .. first + count - 1 of one tile.
template <int Bits>
void spread_codes(const WeightView& host, const TileShape& shape, int first, int count,
                  std::byte* to) {
  const RowPlace place(shape, first);
  const int lane = first % kTileRows;
  const std::size_t stride = row_bytes(host.format, host.cols);
  const std::byte* rows = host.data + static_cast<std::size_t>(first) * stride;
  int start = count == kTileRows ? spread_tile<Bits>(host, shape, first, to) : 0;
  for (int end = 0; start < host.cols; start = end) {
    end = std::min(host.cols, (start / shape.group_cols + 1) * shape.group_cols);
    std::byte* unit = to + place.unit(start);
    for (int col = start; col < end; col += 32 / Bits, unit += place.unit_stride()) {
      const std::size_t offset = static_cast<std::size_t>(col) * Bits / 8;
      const auto bytes = static_cast<std::size_t>(std::min(32, (end - col) * Bits) / 8);
      for (int r = 0; r < count; ++r) {
        const std::byte* from = rows + static_cast<std::size_t>(r) * stride + offset;
        if (bytes == 4) {
          put_dword<Bits>(from, 4, lane + r, unit);
        } else {
          put_dword<Bits>(from, bytes, lane + r, unit);
        }
      }
    }
  }
}

void tile_codes(const WeightView& host, const TileShape& shape, int first, int count,
                std::byte* to) {
  switch (shape.code_bits) {
    case 32:
      return spread_codes<32>(host, shape, first, count, to);
    case 16:
      return spread_codes<16>(host, shape, first, count, to);
    case 8:
      return spread_codes<8>(host, shape, first, count, to);
    default:
      return spread_codes<4>(host, shape, first, count, to);
  }
}

}  // namespace

TileShape tile_shape(const WeightView& w) {
  return TileShape::of(w, element_bits(w.format.element));
}

Status check_tileable(const WeightView& host) {
  const Format& f = host.format;
  const bool packed = f.element == Element::kF4E2M1, scaled = f.scale != ScaleType::kNone;
  const bool may_be_scaled = packed || f.element == Element::kF8E4M3;
  const bool known =
      host.layout == Layout::kRowMajor && is_weight_format(f) && (may_be_scaled || !scaled);
  const bool whole_pairs = !packed || (host.cols % 2 == 0 && (!scaled || f.block_cols % 2 == 0));
  if (known && whole_pairs && host.rows > 0 && host.cols > 0) return {};
  return Error{Code::kUnsupported,
               "The device cpu cannot read a weight of " + std::to_string(host.rows) + " x " +
                   std::to_string(host.cols) + " elements stored as " + format_name(f) + "."};
}

Status tile_rows(const WeightView& host, int first_row, int last_row, std::byte* to) {
  const TileShape shape = tile_shape(host);
  for (int first = first_row; first < last_row;) {
    const int end = std::min(last_row, (first / kTileRows + 1) * kTileRows);
    for (int row = first; row < end; ++row) {
      const std::byte* codes =
          host.data + static_cast<std::size_t>(row) * row_bytes(host.format, host.cols);
      if (host.format.element == Element::kF8E4M3 && has_nan_code(codes, host.cols)) {
        return corrupt("an E4M3 code that is NaN", row);
      }
      if (shape.scale_bytes > 0) PLUMB_TRY_STATUS(tile_scales(host, shape, row, to));
    }
    tile_codes(host, shape, first, end - first, to);
    first = end;
  }
  return {};
}

void decode_tiled_row(const WeightView& w, int row, float* out) {
  const TileShape shape = tile_shape(w);
  const RowPlace place(shape, row);
  const Format plain{w.format.element, ScaleType::kNone, 0, 0};
  const int step = shape.code_bits == 4 ? 2 : 1;
  for (int col = 0; col < w.cols; col += step) {
    const WeightView one{w.data + place.code(col), nullptr, plain, 1, step};
    dequantise(one, 0, {out + col, static_cast<std::size_t>(step)});
    if (shape.scale_bytes == 0) continue;
    const std::byte* scale = w.data + place.scale(col / shape.group_cols);
    float factor = 0;
    if (shape.scale_bytes == 4) {
      std::memcpy(&factor, scale, sizeof factor);
    } else {
      factor = e8m0_to_float(static_cast<std::uint8_t>(*scale));
    }
    for (int i = 0; i < step; ++i) out[col + i] *= factor;
  }
}

void decode_row_major_tile(const WeightView& w, int tile, float* row_scratch, float* out) {
  for (int lane = 0; lane < kTileRows; ++lane) {
    const int row = tile * kTileRows + lane;
    if (row < w.rows) {
      dequantise(w, row, {row_scratch, static_cast<std::size_t>(w.cols)});
    } else {
      std::fill_n(row_scratch, w.cols, 0.0f);
    }
    for (int k = 0; k < w.cols; ++k) out[k * kTileRows + lane] = row_scratch[k];
  }
}

}  // namespace plumb::cpu
