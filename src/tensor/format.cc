#include "tensor/format.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "tensor/number.h"

namespace plumb {
namespace {

struct ElementFacts {
  Element element;
  std::string_view name;
  int bits;
};

constexpr std::array kElements = {
    ElementFacts{Element::kF32, "F32", 32},  ElementFacts{Element::kBF16, "BF16", 16},
    ElementFacts{Element::kF16, "F16", 16},  ElementFacts{Element::kF8E4M3, "F8_E4M3", 8},
    ElementFacts{Element::kF4E2M1, "F4", 4}, ElementFacts{Element::kF8E8M0, "F8_E8M0", 8},
    ElementFacts{Element::kI64, "I64", 64},  ElementFacts{Element::kI8, "I8", 8},
    ElementFacts{Element::kU8, "U8", 8},
};

const ElementFacts& facts(Element element) {
  for (const ElementFacts& f : kElements) {
    if (f.element == element) return f;
  }
  PLUMB_CHECK(!"every element type is in the table");
  return kElements[0];
}

int blocks(int n, int block) { return (n + block - 1) / block; }

// Published tensors are not aligned to their element size in general.
template <class T>
T load(const std::byte* data, std::size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

float decode_element(const std::byte* row, Element element, std::size_t col) {
  switch (element) {
    case Element::kF32:
      return load<float>(row, col);
    case Element::kBF16:
      return bf16_to_float(load<std::uint16_t>(row, col));
    case Element::kF16:
      return f16_to_float(load<std::uint16_t>(row, col));
    case Element::kF8E4M3:
      return e4m3_to_float(load<std::uint8_t>(row, col));
    case Element::kF4E2M1: {
      const auto pair = load<std::uint8_t>(row, col / 2);
      return e2m1_to_float(static_cast<std::uint8_t>(col % 2 == 0 ? pair & 15 : pair >> 4));
    }
    case Element::kF8E8M0:
      return e8m0_to_float(load<std::uint8_t>(row, col));
    case Element::kI64:
    case Element::kI8:
    case Element::kU8:
      break;
  }
  PLUMB_CHECK(!"only floating-point elements are decoded");
  return 0;
}

}  // namespace

std::string_view element_name(Element element) { return facts(element).name; }

std::optional<Element> element_from_name(std::string_view name) {
  for (const ElementFacts& f : kElements) {
    if (f.name == name) return f.element;
  }
  return std::nullopt;
}

int element_bits(Element element) { return facts(element).bits; }

std::string format_name(const Format& format) {
  std::string name(element_name(format.element));
  if (format.scale == ScaleType::kNone) return name;
  name += format.scale == ScaleType::kE8M0 ? " with E8M0 scales per " : " with F32 scales per ";
  return name + std::to_string(format.block_rows) + " x " + std::to_string(format.block_cols);
}

bool is_weight_format(const Format& format) {
  switch (format.element) {
    case Element::kF32:
    case Element::kBF16:
    case Element::kF16:
    case Element::kF8E4M3:
    case Element::kF4E2M1:
      break;
    case Element::kF8E8M0:
    case Element::kI64:
    case Element::kI8:
    case Element::kU8:
      return false;
  }
  return format.scale == ScaleType::kNone || (format.block_rows > 0 && format.block_cols > 0);
}

std::size_t row_bytes(const Format& format, int cols) {
  return element_bytes(format.element, static_cast<std::size_t>(cols));
}

std::size_t data_bytes(const Format& format, int rows, int cols) {
  return static_cast<std::size_t>(rows) * row_bytes(format, cols);
}

std::size_t scale_bytes(const Format& format, int rows, int cols) {
  if (format.scale == ScaleType::kNone) return 0;
  const auto count = static_cast<std::size_t>(blocks(rows, format.block_rows)) *
                     static_cast<std::size_t>(blocks(cols, format.block_cols));
  return count * (format.scale == ScaleType::kE8M0 ? 1 : 4);
}

float block_scale(const WeightView& view, int row, int col) {
  const Format& format = view.format;
  if (format.scale == ScaleType::kNone) return 1.0f;
  const auto per_row = static_cast<std::size_t>(blocks(view.cols, format.block_cols));
  const std::size_t index = static_cast<std::size_t>(row / format.block_rows) * per_row +
                            static_cast<std::size_t>(col / format.block_cols);
  if (format.scale == ScaleType::kF32) return load<float>(view.scales, index);
  return e8m0_to_float(load<std::uint8_t>(view.scales, index));
}

void dequantise(const WeightView& view, int row, int first_col, std::span<float> out) {
  PLUMB_DCHECK(view.layout == Layout::kRowMajor);
  PLUMB_DCHECK(row >= 0 && row < view.rows);
  PLUMB_DCHECK(first_col >= 0 && first_col + static_cast<int>(out.size()) <= view.cols);
  const std::byte* data =
      view.data + static_cast<std::size_t>(row) * row_bytes(view.format, view.cols);
  const bool scaled = view.format.scale != ScaleType::kNone;
  const int block = scaled ? view.format.block_cols : view.cols;
  const int end = first_col + static_cast<int>(out.size());
  for (int col = first_col; col < end;) {
    const int stop = std::min(end, (col / block + 1) * block);
    const float scale = block_scale(view, row, col);
    for (; col < stop; ++col) {
      const float value = decode_element(data, view.format.element, static_cast<std::size_t>(col));
      out[static_cast<std::size_t>(col - first_col)] = scaled ? value * scale : value;
    }
  }
}

}  // namespace plumb
