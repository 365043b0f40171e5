// How the CPU keeps weights: 16 output rows side by side ("rows in lanes"), k ascending.
//
//   unit    64 bytes: 4 bytes of each of 16 rows, that is 32 / code_bits consecutive columns of them
//   tile    16 output rows; the last tile of a matrix is filled up with zero rows
//   panel   4 tiles (64 rows), the last panel of a matrix maybe fewer; panels follow each other
//   group   within a panel, the columns of one scale block: first the scales of the panel's rows, one
//           per row, then units, column after column, those of the panel's tiles in order. A group's
//           last unit is filled up with zeros. Without scales a panel is a single group.
//
// Within a unit the four bytes of a row are a dword, rows in order, bytes as published. E4M3 alone is
// arranged by pairs of columns: of every four rows, first the columns 0 and 1 of each, then 2 and 3, so
// that widening bytes to 16 bits leaves 16 rows in the 16 lanes.
//
// So a core that multiplies a panel reads one sequential stream, and an output element is one chain
// over k whatever the number of tokens or threads. Size: as published, plus at most one scale per
// row and scale block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "tensor/number.h"
#include "tensor/tensor.h"

namespace plumb::cpu {

inline constexpr int kTileRows = 16;
inline constexpr int kPanelTiles = 4;
inline constexpr int kUnitBytes = 64;

// The arithmetic of the layout, in bytes.
struct TileShape {
  int rows = 0;
  int cols = 0;
  int group_cols = 0;   // columns under one scale; cols when there are none
  int scale_bytes = 0;  // of one scale: 0, 1 or 4
  int code_bits = 0;    // of one element

  PLUMB_INLINE static TileShape of(const WeightView& w, int code_bits) {
    const bool scaled = w.format.scale != ScaleType::kNone;
    const int scale = !scaled ? 0 : w.format.scale == ScaleType::kE8M0 ? 1 : 4;
    return {w.rows, w.cols, scaled ? w.format.block_cols : w.cols, scale, code_bits};
  }

  PLUMB_INLINE int tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  PLUMB_INLINE int groups() const { return (cols + group_cols - 1) / group_cols; }
  PLUMB_INLINE int panel_tiles(int panel) const {
    const int left = tiles() - panel * kPanelTiles;
    return left < kPanelTiles ? left : kPanelTiles;
  }
  PLUMB_INLINE int unit_cols() const { return 32 / code_bits; }
  // Of `count` columns of one tile.
  PLUMB_INLINE std::size_t codes(int count) const {
    return static_cast<std::size_t>((count + unit_cols() - 1) / unit_cols()) * kUnitBytes;
  }
  PLUMB_INLINE std::size_t scales() const {  // of one tile and group
    return static_cast<std::size_t>(kTileRows * scale_bytes);
  }
  PLUMB_INLINE std::size_t tile_bytes() const {
    const auto before = static_cast<std::size_t>(groups() - 1);
    return before * (scales() + codes(group_cols)) + scales() +
           codes(cols - (groups() - 1) * group_cols);
  }
  PLUMB_INLINE std::size_t panel_offset(int panel) const {
    return tile_bytes() * static_cast<std::size_t>(panel * kPanelTiles);
  }
  PLUMB_INLINE std::size_t total_bytes() const {
    return tile_bytes() * static_cast<std::size_t>(tiles());
  }
};

TileShape tile_shape(const WeightView& w);

// Whether a row-major weight can be tiled: F32, BF16, F16 without scales; E4M3 and E2M1 with or
// without. kUnsupported says why not.
Status check_tileable(const WeightView& host);

// Writes rows [first_row, last_row) into `to`, which holds tile_shape(host).total_bytes() zeroed
// bytes; ranges that do not overlap may be written by several threads. kCorrupt names a NaN code or
// a scale beyond 2^119: neither belongs in a weight, and the kernels do not look for them.
Status tile_rows(const WeightView& host, int first_row, int last_row, std::byte* to);

// Row `row` of a tiled weight as fp32: out[cols].
void decode_tiled_row(const WeightView& w, int row, float* out);

// Tile `tile` of a row-major weight as fp32 [cols][16], rows past the end zero.
void decode_row_major_tile(const WeightView& w, int tile, float* row_scratch, float* out);

}  // namespace plumb::cpu
