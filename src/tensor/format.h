// Sizes, names and decoding of element types and weight formats. Row-major only: other layouts are
// known to the device that made them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace plumb {

// The name safetensors headers use: "F32", "BF16", "F16", "F8_E4M3", "F4", "F8_E8M0", "I64", "I8",
// "U8". Published files name packed E2M1 by its carrier, "I8" of half the width.
std::string_view element_name(Element element);
std::optional<Element> element_from_name(std::string_view name);

int element_bits(Element element);

// Bytes of `count` consecutive elements; packed elements fill whole bytes.
constexpr std::size_t element_bytes(Element element, std::size_t count) {
  switch (element) {
    case Element::kF32:
      return count * 4;
    case Element::kBF16:
    case Element::kF16:
      return count * 2;
    case Element::kI64:
      return count * 8;
    case Element::kF4E2M1:
      return (count + 1) / 2;
    case Element::kF8E4M3:
    case Element::kF8E8M0:
    case Element::kI8:
    case Element::kU8:
      return count;
  }
  return 0;
}

// For people: "F8_E4M3 with E8M0 scales per 128 x 128".
std::string format_name(const Format& format);

// Whether `format` is a matrix of numbers this program can decode: a floating-point element, with
// positive block sides exactly when it has scales.
bool is_weight_format(const Format& format);

// Bytes of one row, of all rows, and of the scale grid of a row-major matrix.
std::size_t row_bytes(const Format& format, int cols);
std::size_t data_bytes(const Format& format, int rows, int cols);
std::size_t scale_bytes(const Format& format, int rows, int cols);

// The scale of the block that holds (row, col); 1 when the format has none.
float block_scale(const WeightView& view, int row, int col);

// Columns [first_col, first_col + out.size()) of one row as fp32: code x scale, one fp32 product
// (exact for E8M0 scales unless it leaves fp32's range).
void dequantise(const WeightView& view, int row, int first_col, std::span<float> out);

// The whole row; out.size() == view.cols.
inline void dequantise(const WeightView& view, int row, std::span<float> out) {
  dequantise(view, row, 0, out);
}

}  // namespace plumb
