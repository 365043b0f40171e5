#include <algorithm>
#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "tensor/format.h"
#include "tensor/math.h"

namespace plumb {
namespace {

// The published per-head query norm: each step of `x * rsqrt(mean(x^2) + eps)` leaves a bfloat16
// tensor behind; only the mean accumulates in fp32.
float bf16_chain_factor(const float* x, int d, float eps) {
  float lane[16] = {};
  for (int i = 0; i < d; ++i) lane[i % 16] += round_to_bf16(x[i] * x[i]);
  const float mean = round_to_bf16(ref::add_lanes(lane) / static_cast<float>(d));
  return round_to_bf16(math::rsqrt(round_to_bf16(mean + eps)));
}

}  // namespace

void RefKernels::embed(const EmbedArgs& a) {
  const int d = a.table.cols;
  for (int t = 0; t < a.out.rows; ++t) {
    float* out = a.out.row(t);
    dequantise(a.table, a.tokens[t], {out, static_cast<std::size_t>(d)});
    for (int copy = 1; copy < a.copies; ++copy) std::copy_n(out, d, out + copy * d);
  }
}

void RefKernels::rms_norm(const RmsNormArgs& a) {
  const int d = a.width > 0 ? a.width : a.x.cols, parts = a.x.cols / d;
  for (int n = 0; n < a.x.rows * parts; ++n) {
    const float* x = a.x.row(n / parts) + n % parts * d;
    float* out = a.out.row(n / parts) + n % parts * d;
    if (a.bf16_chain) {
      const float r = bf16_chain_factor(x, d, a.eps);
      for (int i = 0; i < d; ++i) out[i] = round_to_bf16(x[i] * r);
      continue;
    }
    const float r = math::rsqrt(ref::lanes(x, x, d) / static_cast<float>(d) + a.eps);
    for (int i = 0; i < d; ++i) {
      const float y = a.gain == nullptr ? x[i] * r : a.gain[i] * (x[i] * r);
      out[i] = round_if(a.round_bf16, y);
    }
  }
}

}  // namespace plumb
