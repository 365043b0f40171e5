// Reading rows of sequences: by position from a ring and this step, by id from pages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/kernels.h"
#include "tensor/row_format.h"

namespace plumb::ref {

PLUMB_INLINE const float* history_row(const RowHistory& h, Pos position, int width) {
  if (position >= h.start) return h.fresh + (position - h.start) * width;
  return h.ring + (position % h.ring_rows) * width;
}

PLUMB_INLINE std::byte* paged_row(const PagedRows& p, std::int64_t row, int width) {
  const auto bytes = static_cast<std::int64_t>(row_bytes(p.format, width));
  return p.base + p.page_table[row / p.rows_per_page] * p.page_stride +
         (row % p.rows_per_page) * bytes;
}

// The row as fp32: in place when stored so, else decoded into scratch[width].
PLUMB_INLINE const float* read_paged_row(const PagedRows& p, std::int64_t row, int width,
                                         float* scratch) {
  const std::byte* data = paged_row(p, row, width);
  if (p.format == kRowF32) return reinterpret_cast<const float*>(data);
  decode_row(p.format, data, width, scratch);
  return scratch;
}

// Which block of 64 a row that a token attends belongs to (see AttendArgs); blocks are taken in
// ascending order of these numbers.
struct AttendBlocks {
  bool list = false;
  int window = 0;
  Pos first = 0;  // position of the token's oldest window row

  AttendBlocks(const AttendArgs& a, int t)
      : list(a.list_blocks),
        window(a.window),
        first(a.position[t] - a.window + 1 > 0 ? a.position[t] - a.window + 1 : 0) {}

  // One past the last position of the block that holds the window row at p.
  Pos window_end(Pos p) const {
    return list ? first + ((p - first) / 64 + 1) * 64 : (p / 64 + 1) * 64;
  }
  // The same for the i-th compressed row.
  std::int64_t compressed_end(std::int64_t i) const {
    return list ? ((window + i) / 64 + 1) * 64 - window : (i / 64 + 1) * 64;
  }
  // The first compressed rows share a block with the window row at `last`.
  bool joined(Pos last) const { return list && (last - first) / 64 == window / 64; }
};

}  // namespace plumb::ref
