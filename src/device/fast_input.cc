#include "device/fast_input.h"

#include <algorithm>
#include <cmath>

#include "tensor/number.h"

namespace plumb {
namespace {

constexpr int kInt8Group = 128;

void round_int8(const float* x, int cols, float* out) {
  for (int first = 0; first < cols; first += kInt8Group) {
    const int end = std::min(cols, first + kInt8Group);
    float amax = 0;
    for (int i = first; i < end; ++i) amax = std::max(amax, std::fabs(x[i]));
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f, scale = amax / 127.0f;
    for (int i = first; i < end; ++i) out[i] = std::nearbyint(x[i] * inverse) * scale;
  }
}

}  // namespace

FastInput fast_input(const WeightView& w) {
  const Format& f = w.format;
  const bool scaled = f.scale != ScaleType::kNone;
  switch (f.element) {
    case Element::kF4E2M1:
      return scaled && f.block_cols == 32 && w.cols % 32 == 0 ? FastInput::kInt8
                                                              : FastInput::kExact;
    case Element::kF8E4M3:
      return !scaled || f.block_cols % 4 == 0 ? FastInput::kBf16 : FastInput::kExact;
    case Element::kBF16:
      return FastInput::kBf16;
    default:
      return FastInput::kExact;
  }
}

void round_fast_input(FastInput kind, const float* x, int cols, float* out) {
  if (kind == FastInput::kInt8) return round_int8(x, cols, out);
  if (kind == FastInput::kExact) {
    std::copy_n(x, cols, out);
    return;
  }
  for (int i = 0; i < cols; ++i) out[i] = round_to_bf16(x[i]);
}

}  // namespace plumb
