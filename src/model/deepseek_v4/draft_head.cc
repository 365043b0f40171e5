#include "model/deepseek_v4/draft_head.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/format.h"
#include "tensor/number.h"

namespace plumb::deepseek_v4 {
namespace {

constexpr Format kFormat = kFormatF8Block128;
constexpr float kLargest = 0x1p100f;  // far from where a scale would leave its format

// Rows of one row of blocks, side by side, to codes and one scale per block. false: a value that is
// not finite or too large.
bool encode(const float* rows, int count, int cols, std::uint8_t* codes, std::uint8_t* scales) {
  for (int first = 0; first < cols; first += kFormat.block_cols) {
    const int last = std::min(cols, first + kFormat.block_cols);
    float largest = 0;
    for (int r = 0; r < count; ++r) {
      for (int c = first; c < last; ++c) {
        const float value = std::fabs(rows[std::ptrdiff_t{r} * cols + c]);
        if (!(value < kLargest)) return false;
        largest = std::max(largest, value);
      }
    }
    const float scale = e4m3_block_scale(largest), inverse = 1 / scale;
    *scales++ = static_cast<std::uint8_t>(float_bits(scale) >> 23);
    for (int r = 0; r < count; ++r) {
      for (int c = first; c < last; ++c) {
        const std::ptrdiff_t at = std::ptrdiff_t{r} * cols + c;
        codes[at] = float_to_e4m3(rows[at] * inverse);
      }
    }
  }
  return true;
}

}  // namespace

std::size_t draft_head_bytes(int rows, int cols) {
  return data_bytes(kFormat, rows, cols) + scale_bytes(kFormat, rows, cols);
}

Result<WeightView> place_draft_head(const WeightView& head, Device& device) {
  if (head.format.scale != ScaleType::kNone) return WeightView{};
  const auto cols = static_cast<std::size_t>(head.cols);
  std::vector<std::uint8_t> codes(data_bytes(kFormat, head.rows, head.cols));
  std::vector<std::uint8_t> scales(scale_bytes(kFormat, head.rows, head.cols));
  std::vector<float> rows(static_cast<std::size_t>(kFormat.block_rows) * cols);
  const std::size_t across =
      scales.size() /
      static_cast<std::size_t>((head.rows + kFormat.block_rows - 1) / kFormat.block_rows);
  for (int first = 0; first < head.rows; first += kFormat.block_rows) {
    const int count = std::min(kFormat.block_rows, head.rows - first);
    for (int r = 0; r < count; ++r) {
      dequantise(head, first + r,
                 std::span(rows).subspan(static_cast<std::size_t>(r) * cols, cols));
    }
    const auto block = static_cast<std::size_t>(first / kFormat.block_rows);
    if (!encode(rows.data(), count, head.cols,
                codes.data() + static_cast<std::size_t>(first) * cols,
                scales.data() + block * across)) {
      return WeightView{};
    }
  }
  WeightView host;
  host.data = reinterpret_cast<const std::byte*>(codes.data());
  host.scales = reinterpret_cast<const std::byte*>(scales.data());
  host.format = kFormat;
  host.rows = head.rows;
  host.cols = head.cols;
  return device.place(host, Placement::kResident);
}

}  // namespace plumb::deepseek_v4
