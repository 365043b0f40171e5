// Views on memory owned by someone else: activations, weights, tensors of files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace plumb {

// Element types as files name them. kF4E2M1 is packed two per byte (low nibble = even column) and
// appears in files as I8 of half the width.
enum class Element : std::uint8_t { kF32, kBF16, kF16, kF8E4M3, kF4E2M1, kF8E8M0, kI64, kI8, kU8 };
enum class ScaleType : std::uint8_t { kNone, kE8M0, kF32 };

// How a weight matrix is stored: elements and their block scales always travel together. A block
// is block_rows x block_cols elements under one scale; edge blocks may be partial.
struct Format {
  Element element = Element::kBF16;
  ScaleType scale = ScaleType::kNone;
  int block_rows = 0;
  int block_cols = 0;

  bool operator==(const Format&) const = default;
};

// The formats DeepSeek-V4 publishes.
inline constexpr Format kFormatF32{Element::kF32, ScaleType::kNone, 0, 0};
inline constexpr Format kFormatBF16{Element::kBF16, ScaleType::kNone, 0, 0};
inline constexpr Format kFormatF16{Element::kF16, ScaleType::kNone, 0, 0};
inline constexpr Format kFormatF8Block128{Element::kF8E4M3, ScaleType::kE8M0, 128, 128};
inline constexpr Format kFormatMxF4{Element::kF4E2M1, ScaleType::kE8M0, 1, 32};

// Row-major window. Trivially copyable: pass by value. `stride` counts elements, >= cols.
template <class T>
struct Mat {
  T* data = nullptr;
  int rows = 0;
  int cols = 0;
  std::ptrdiff_t stride = 0;

  static Mat dense(T* data, int rows, int cols) { return {data, rows, cols, cols}; }
  T* row(int r) const { return data + r * stride; }
  std::span<T> span(int r) const { return {row(r), static_cast<std::size_t>(cols)}; }
  Mat slice(int first_row, int count) const { return {row(first_row), count, cols, stride}; }
  Mat columns(int first_col, int count) const { return {data + first_col, rows, count, stride}; }
  operator Mat<const T>() const { return {data, rows, cols, stride}; }
};

// How the bytes of a weight are arranged. kRowMajor is the published order; others belong to the
// device that made them in place().
enum class Layout : std::uint8_t { kRowMajor, kTiled };

// Immutable weight, [rows = out, cols = in]; y = W x. Lives as long as the store or device that
// made it. Row-major data: rows follow each other without gaps; scales [ceil(rows/block_rows)]
// [ceil(cols/block_cols)], row-major.
struct WeightView {
  const std::byte* data = nullptr;
  const std::byte* scales = nullptr;  // null when the format has none
  Format format;
  int rows = 0;
  int cols = 0;
  Layout layout = Layout::kRowMajor;
};

}  // namespace plumb
