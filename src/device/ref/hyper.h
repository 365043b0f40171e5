// The small part of mHC: from mixing logits to weights (spec 2.2). Forced inline, so that the tiers
// of the CPU compile the very same steps for their processors.
#pragma once

#include "tensor/math.h"
#include "tensor/number.h"

namespace plumb::ref {

// C[j][:] = softmax of its logits + eps.
PLUMB_INLINE void softmax_rows(float* c, int hc, float eps) {
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
PLUMB_INLINE void divide_by_sums(float* c, int hc, int group_step, int step, float eps) {
  for (int g = 0; g < hc; ++g) {
    float* first = c + g * group_step;
    float sum = 0;
    for (int i = 0; i < hc; ++i) sum += first[i * step];
    for (int i = 0; i < hc; ++i) first[i * step] /= sum + eps;
  }
}

// Each is sigmoid(m * rho * scale + base) + eps.
PLUMB_INLINE void gates(const float* m, float rho, float scale, const float* base, int n, float eps,
                        float* out) {
  for (int j = 0; j < n; ++j) out[j] = math::sigmoid(m[j] * rho * scale + base[j]) + eps;
}

// From the mixing logits m[(2 + hc) * hc] (before the factor rho) of one token: pre[hc], post[hc]
// and comb[hc * hc] after Sinkhorn. scale[3], base[(2 + hc) * hc].
PLUMB_INLINE void hyper_weights(const float* m, float rho, const float* scale, const float* base,
                                int hc, int iterations, float eps, float* pre, float* post,
                                float* comb) {
  gates(m, rho, scale[0], base, hc, eps, pre);
  gates(m + hc, rho, scale[1], base + hc, hc, 0.0f, post);
  for (int j = 0; j < hc; ++j) post[j] = 2.0f * post[j];
  for (int i = 0; i < hc * hc; ++i) {
    comb[i] = m[2 * hc + i] * rho * scale[2] + base[2 * hc + i];
  }
  softmax_rows(comb, hc, eps);
  divide_by_sums(comb, hc, 1, hc, eps);
  for (int i = 1; i < iterations; ++i) {
    divide_by_sums(comb, hc, hc, 1, eps);
    divide_by_sums(comb, hc, 1, hc, eps);
  }
}

}  // namespace plumb::ref
