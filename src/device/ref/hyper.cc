#include "device/ref/hyper.h"

#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "tensor/format.h"
#include "tensor/math.h"

namespace plumb {
namespace {

// C[j][:] = softmax of its logits + eps.
void softmax_rows(float* c, int hc, float eps) {
  for (int j = 0; j < hc; ++j) {
    float* row = c + j * hc;
    float top = row[0], sum = 0;
    for (int k = 1; k < hc; ++k) top = row[k] > top ? row[k] : top;
    for (int k = 0; k < hc; ++k) row[k] = math::exp(row[k] - top);
    for (int k = 0; k < hc; ++k) sum += row[k];
    for (int k = 0; k < hc; ++k) row[k] = row[k] / sum + eps;
  }
}

// Every group of hc entries `step` apart is divided by its sum + eps.
void divide_by_sums(float* c, int hc, int group_step, int step, float eps) {
  for (int g = 0; g < hc; ++g) {
    float* first = c + g * group_step;
    float sum = 0;
    for (int i = 0; i < hc; ++i) sum += first[i * step];
    for (int i = 0; i < hc; ++i) first[i * step] /= sum + eps;
  }
}

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

void ref::hyper_weights(const HyperPreArgs& a, const float* m, float rho, float* pre, float* post,
                        float* comb) {
  const int hc = a.hc;
  for (int j = 0; j < hc; ++j) {
    pre[j] = math::sigmoid(m[j] * rho * a.scale[0] + a.base[j]) + a.hc_eps;
    post[j] = 2.0f * math::sigmoid(m[hc + j] * rho * a.scale[1] + a.base[hc + j]);
  }
  for (int i = 0; i < hc * hc; ++i) {
    comb[i] = m[2 * hc + i] * rho * a.scale[2] + a.base[2 * hc + i];
  }
  softmax_rows(comb, hc, a.hc_eps);
  divide_by_sums(comb, hc, 1, hc, a.hc_eps);
  for (int i = 1; i < a.iterations; ++i) {
    divide_by_sums(comb, hc, hc, 1, a.hc_eps);
    divide_by_sums(comb, hc, 1, hc, a.hc_eps);
  }
}

void ref::hyper_head_weights(const HyperHeadArgs& a, const float* m, float rho, float* pre) {
  for (int j = 0; j < a.hc; ++j) {
    pre[j] = math::sigmoid(m[j] * rho * a.scale[0] + a.base[j]) + a.hc_eps;
  }
}

void RefKernels::hyper_pre(const HyperPreArgs& a) {
  const int d = a.y.cols;
  std::vector<float> pre(static_cast<std::size_t>(a.hc));
  const std::vector<float> m = mixing_logits(*this, a.streams, a.fn);
  for (int t = 0; t < a.streams.rows; ++t) {
    const float* x = a.streams.row(t);
    const float rho = inverse_rms(x, a.streams.cols, a.norm_eps);
    ref::hyper_weights(a, m.data() + t * a.fn.rows, rho, pre.data(), a.post.row(t), a.comb.row(t));
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
    ref::hyper_head_weights(a, m.data() + t * a.hc, rho, pre.data());
    weighted_streams(x, pre.data(), a.hc, a.y.cols, a.round_bf16, a.y.row(t));
  }
}

}  // namespace plumb
