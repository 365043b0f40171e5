#include "device/ref/quant.h"

#include <algorithm>
#include <cmath>

#include "device/ref/kernels.h"
#include "tensor/number.h"

namespace plumb {

void ref::fake_quant_row(const float* x, float* out, int cols, int block,
                         FakeQuantArgs::Kind kind) {
  for (int first = 0; first < cols; first += block) {
    const int end = std::min(cols, first + block);
    float amax = 0;
    for (int i = first; i < end; ++i) amax = std::fabs(x[i]) > amax ? std::fabs(x[i]) : amax;
    const bool e4m3 = kind == FakeQuantArgs::Kind::kE4M3;
    const float scale = e4m3 ? e4m3_block_scale(amax) : e2m1_block_scale(amax);
    for (int i = first; i < end; ++i) {
      const float scaled = x[i] / scale;
      out[i] = (e4m3 ? round_to_e4m3(scaled) : round_to_e2m1(scaled)) * scale;
    }
  }
}

void RefKernels::fake_quant(const FakeQuantArgs& a) {
  for (int n = 0; n < a.x.rows; ++n) {
    const float* x = a.x.row(n);
    float* out = a.out.row(n);
    if (out != x) {
      std::copy_n(x, a.first_col, out);
      std::copy(x + a.first_col + a.cols, x + a.x.cols, out + a.first_col + a.cols);
    }
    ref::fake_quant_row(x + a.first_col, out + a.first_col, a.cols, a.block, a.kind);
  }
}

void RefKernels::hadamard(const HadamardArgs& a) {
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.width)));
  for (int n = 0; n < a.x.rows; ++n) {
    for (float* x = a.x.row(n); x < a.x.row(n) + a.x.cols; x += a.width) {
      for (int stride = 1; stride < a.width; stride *= 2) {
        for (int i = 0; i < a.width; ++i) {
          if (i & stride) continue;
          const float low = x[i], high = x[i + stride];
          x[i] = low + high;
          x[i + stride] = low - high;
        }
      }
      for (int i = 0; i < a.width; ++i) x[i] = round_if(a.round_bf16, x[i] * factor);
    }
  }
}

}  // namespace plumb
