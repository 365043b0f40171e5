#include "device/ref/hyper.h"

#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "tensor/format.h"
#include "tensor/math.h"

namespace plumb {
namespace {

// 1 / sqrt(mean of squares + eps) over all streams of a token.
float inverse_rms(const float* x, int n, float eps) {
  return math::rsqrt(ref::lanes(x, x, n) / static_cast<float>(n) + eps);
}

// y[c] = sum_j pre[j] * x[j * d + c], a plain sum in ascending order.
void weighted_streams(const float* x, const float* pre, int hc, int d, bool round, float* y) {
  for (int c = 0; c < d; ++c) {
    float sum = pre[0] * x[c];
    for (int j = 1; j < hc; ++j) sum += pre[j] * x[j * d + c];
    y[c] = round_if(round, sum);
  }
}

// m[t][i] = fn[i] . streams[t].
std::vector<float> mixing_logits(Kernels& kernels, Mat<const float> streams, const WeightView& fn) {
  std::vector<float> m(static_cast<std::size_t>(streams.rows) * static_cast<std::size_t>(fn.rows));
  kernels.matmul({streams, fn, 0, false, Mat<float>::dense(m.data(), streams.rows, fn.rows)});
  return m;
}

}  // namespace

void RefKernels::hyper_pre(const HyperPreArgs& a) {
  const int d = a.y.cols;
  std::vector<float> pre(static_cast<std::size_t>(a.hc));
  const std::vector<float> m = mixing_logits(*this, a.streams, a.fn);
  for (int t = 0; t < a.streams.rows; ++t) {
    const float* x = a.streams.row(t);
    const float rho = inverse_rms(x, a.streams.cols, a.norm_eps);
    ref::hyper_weights(m.data() + t * a.fn.rows, rho, a.scale, a.base, a.hc, a.iterations, a.hc_eps,
                       pre.data(), a.post.row(t), a.comb.row(t));
    weighted_streams(x, pre.data(), a.hc, d, a.round_bf16, a.y.row(t));
  }
}

void RefKernels::hyper_post(const HyperPostArgs& a) {
  const int d = a.f.cols, hc = a.hc;
  std::vector<float> mixed(static_cast<std::size_t>(hc));
  for (int t = 0; t < a.f.rows; ++t) {
    const float *f = a.f.row(t), *x = a.streams.row(t), *post = a.post.row(t),
                *comb = a.comb.row(t);
    float* out = a.out.row(t);
    for (int c = 0; c < d; ++c) {
      for (int k = 0; k < hc; ++k) {
        float sum = comb[k] * x[c];
        for (int j = 1; j < hc; ++j) sum += comb[j * hc + k] * x[j * d + c];
        mixed[static_cast<std::size_t>(k)] = round_if(a.round_bf16, post[k] * f[c] + sum);
      }
      for (int k = 0; k < hc; ++k) out[k * d + c] = mixed[static_cast<std::size_t>(k)];
    }
  }
}

void RefKernels::hyper_head(const HyperHeadArgs& a) {
  std::vector<float> pre(static_cast<std::size_t>(a.hc));
  const std::vector<float> m = mixing_logits(*this, a.streams, a.fn);
  for (int t = 0; t < a.streams.rows; ++t) {
    const float* x = a.streams.row(t);
    const float rho = inverse_rms(x, a.streams.cols, a.norm_eps);
    ref::gates(m.data() + t * a.hc, rho, a.scale[0], a.base, a.hc, a.hc_eps, pre.data());
    weighted_streams(x, pre.data(), a.hc, a.y.cols, a.round_bf16, a.y.row(t));
  }
}

}  // namespace plumb
