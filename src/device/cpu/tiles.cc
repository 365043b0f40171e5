#include "device/cpu/tiles.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/check.h"
#include "tensor/format.h"

namespace plumb::cpu {
namespace {

constexpr int kLargestScaleCode = 127 + 119;

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
  // Byte offset of the element (or pair of 4-bit elements) at column `col`.
  std::size_t code(int col) const {
    const int g = col / shape_.group_cols;
    const int step = shape_.code_bits == 4 ? 2 : 1;
    const std::size_t unit = shape_.codes(step);  // of one tile
    const auto index = static_cast<std::size_t>((col - g * shape_.group_cols) / step);
    return group(g) + width_ * shape_.scales() + (index * width_ + sub_) * unit +
           lane_ * (unit / kTileRows);
  }
  // From one column (or pair) to the next within a group.
  std::size_t column_stride() const { return width_ * shape_.codes(shape_.code_bits == 4 ? 2 : 1); }

 private:
  std::size_t group(int g) const {
    return start_ + width_ * static_cast<std::size_t>(g) *
                        (shape_.scales() + shape_.codes(shape_.group_cols));
  }

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
  for (int g = 0; g < shape.groups(); ++g) {
    const std::byte* from = host.scales + (first + static_cast<std::size_t>(g)) * bytes;
    if (bytes == 1 && static_cast<int>(*from) > kLargestScaleCode) {
      return corrupt(*from == std::byte{255} ? "a scale that is NaN" : "a scale above 2^119", row);
    }
    std::memcpy(to + place.scale(g), from, bytes);
  }
  return {};
}

// Copies units of Bytes from a row-major row into the row's places.
template <int Bytes>
void spread_codes(const WeightView& host, const TileShape& shape, int row, std::byte* to) {
  const RowPlace place(shape, row);
  const int step = shape.code_bits == 4 ? 2 : 1;
  const std::byte* from =
      host.data + static_cast<std::size_t>(row) * row_bytes(host.format, host.cols);
  const std::size_t unit = place.column_stride();
  for (int col = 0; col < host.cols;) {
    const int end = std::min(host.cols, (col / shape.group_cols + 1) * shape.group_cols);
    std::byte* out = to + place.code(col);
    for (; col < end; col += step, out += unit, from += Bytes) std::memcpy(out, from, Bytes);
  }
}

void tile_codes(const WeightView& host, const TileShape& shape, int row, std::byte* to) {
  switch (shape.code_bits) {
    case 32:
      return spread_codes<4>(host, shape, row, to);
    case 16:
      return spread_codes<2>(host, shape, row, to);
    default:
      return spread_codes<1>(host, shape, row, to);  // one code, or a pair of 4-bit ones
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
  for (int row = first_row; row < last_row; ++row) {
    const std::byte* codes =
        host.data + static_cast<std::size_t>(row) * row_bytes(host.format, host.cols);
    if (host.format.element == Element::kF8E4M3 && has_nan_code(codes, host.cols)) {
      return corrupt("an E4M3 code that is NaN", row);
    }
    tile_codes(host, shape, row, to);
    if (shape.scale_bytes > 0) PLUMB_TRY_STATUS(tile_scales(host, shape, row, to));
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
