// Everything that works on one row at a time. Included by the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"
#include "device/ref/hyper.h"

namespace plumb::cpu::PLUMB_TIER {

static void pool(const PooledRow* rows, int count, int dim, bool round, float* out) {
  int c = 0;
  for (; c + kLanes <= dim; c += kLanes) {
    V top = splat(-__builtin_inff()), weights = splat(0.0f), sum = splat(0.0f);
    for (int i = 0; i < count; ++i)
      top = max(add(load(rows[i].gates + c), load(rows[i].ape + c)), top);
    for (int i = 0; i < count; ++i) {
      const V p = exp(sub(add(load(rows[i].gates + c), load(rows[i].ape + c)), top));
      weights = add(weights, p);
      sum = add(sum, mul(p, load(rows[i].values + c)));
    }
    store(out + c, round_if(round, div(sum, weights)));
  }
  for (; c < dim; ++c) {
    float top = -__builtin_inff(), weights = 0, sum = 0;
    for (int i = 0; i < count; ++i) {
      const float g = rows[i].gates[c] + rows[i].ape[c];
      top = g > top ? g : top;
    }
    for (int i = 0; i < count; ++i) {
      const float p = math::exp(rows[i].gates[c] + rows[i].ape[c] - top);
      weights += p;
      sum += p * rows[i].values[c];
    }
    out[c] = round_if(round, sum / weights);
  }
}

static float sum_of_squares(const float* x, int n) { return add_lanes(lane_chains(x, x, n)); }

static void scale_row(const float* x, const float* gain, float r, int n, bool round, float* out) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const V y = mul(load(x + i), splat(r));
    store(out + i, round_if(round, gain == nullptr ? y : mul(load(gain + i), y)));
  }
  for (; i < n; ++i) {
    const float y = x[i] * r;
    out[i] = round_if(round, gain == nullptr ? y : gain[i] * y);
  }
}

static float bf16_square_sum(const float* x, int n) {
  float lane[kLanes];
  V acc = splat(0.0f);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    acc = add(acc, round_bf16(mul(load(x + i), load(x + i))));
  }
  store(lane, acc);
  for (int l = 0; i + l < n; ++l) lane[l] += round_to_bf16(x[i + l] * x[i + l]);
  return add_lanes(load(lane));
}

static void hyper_weights(const float* m, float rho, const float* scale, const float* base, int hc,
                          int iterations, float eps, float* pre, float* post, float* comb) {
  // The published number of streams is worth code of its own: everything stays in registers.
  if (hc == 4) return ref::hyper_weights(m, rho, scale, base, 4, iterations, eps, pre, post, comb);
  ref::hyper_weights(m, rho, scale, base, hc, iterations, eps, pre, post, comb);
}

static void router_scores(float* z, int n) {
  for (int i = 0; i < n; ++i) z[i] = math::sqrt_softplus(z[i]);
}

static void weigh_streams(const float* x, const float* pre, int hc, int d, bool round, float* y) {
  int c = 0;
  for (; c + kLanes <= d; c += kLanes) {
    V sum = mul(splat(pre[0]), load(x + c));
    for (int j = 1; j < hc; ++j) sum = add(sum, mul(splat(pre[j]), load(x + j * d + c)));
    store(y + c, round_if(round, sum));
  }
  for (; c < d; ++c) {
    float sum = pre[0] * x[c];
    for (int j = 1; j < hc; ++j) sum += pre[j] * x[j * d + c];
    y[c] = round_if(round, sum);
  }
}

// `out` may be `x`: a column of all streams is read before any of it is written.
static void mix_streams(const float* f, const float* x, const float* post, const float* comb,
                        int hc, int d, bool round, float* out) {
  constexpr int kMost = 8;  // streams; the caller keeps to it
  int c = 0;
  for (; c + kLanes <= d; c += kLanes) {
    V stream[kMost];
    for (int j = 0; j < hc; ++j) stream[j] = load(x + j * d + c);
    const V fresh = load(f + c);
    for (int k = 0; k < hc; ++k) {
      V sum = mul(splat(comb[k]), stream[0]);
      for (int j = 1; j < hc; ++j) sum = add(sum, mul(splat(comb[j * hc + k]), stream[j]));
      store(out + k * d + c, round_if(round, add(mul(splat(post[k]), fresh), sum)));
    }
  }
  for (; c < d; ++c) {
    float stream[kMost];
    for (int j = 0; j < hc; ++j) stream[j] = x[j * d + c];
    for (int k = 0; k < hc; ++k) {
      float sum = comb[k] * stream[0];
      for (int j = 1; j < hc; ++j) sum += comb[j * hc + k] * stream[j];
      out[k * d + c] = round_if(round, post[k] * f[c] + sum);
    }
  }
}

static void swiglu(float* g, const float* u, int n, float clamp, float weight, bool round) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V gate = load(g + i), up = load(u + i);
    if (clamp > 0) {
      up = min(splat(clamp), max(splat(-clamp), up));
      gate = min(splat(clamp), gate);
    }
    const V silu = div(gate, add(splat(1.0f), exp(negate(gate))));
    store(g + i, round_if(round, mul(mul(silu, up), splat(weight))));
  }
  for (; i < n; ++i) {
    float gate = g[i], up = u[i];
    if (clamp > 0) {
      up = up < -clamp ? -clamp : up > clamp ? clamp : up;
      gate = gate > clamp ? clamp : gate;
    }
    g[i] = round_if(round, math::silu(gate) * up * weight);
  }
}

static void add_row(const float* x, int n, bool round, float* sum) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    store(sum + i, round_if(round, add(load(sum + i), load(x + i))));
  }
  for (; i < n; ++i) sum[i] = round_if(round, sum[i] + x[i]);
}

static void turns(float position, const float* freq, int n, float* cos, float* sin) {
  for (int i = 0; i < n; ++i) {
    const math::SinCos turn = math::sincos(position * freq[i]);
    cos[i] = turn.cos;
    sin[i] = turn.sin;
  }
}

static void rotate(float* x, int cols, int head_dim, int first, int n, const float* cos,
                   const float* sin, bool inverse, bool round) {
  for (float* head = x + first; head < x + cols; head += head_dim) {
    for (int i = 0; i < n; ++i) {
      const float even = head[2 * i], odd = head[2 * i + 1];
      const float s = inverse ? -sin[i] : sin[i];
      head[2 * i] = round_if(round, even * cos[i] - odd * s);
      head[2 * i + 1] = round_if(round, even * s + odd * cos[i]);
    }
  }
}

static void hadamard(float* x, int width, float factor, bool round) {
  for (int stride = 1; stride < width; stride *= 2) {
    for (int first = 0; first < width; first += 2 * stride) {
      for (int i = first; i < first + stride; ++i) {
        const float low = x[i], high = x[i + stride];
        x[i] = low + high;
        x[i + stride] = low - high;
      }
    }
  }
  for (int i = 0; i < width; ++i) x[i] = round_if(round, x[i] * factor);
}

// Largest magnitude; a NaN is dropped.
PLUMB_TIER_INLINE float largest(const float* x, int n) {
  V most = splat(0.0f);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) most = max(max(load(x + i), negate(load(x + i))), most);
  float lane[kLanes], amax = 0;
  store(lane, most);
  for (const float size : lane) amax = size > amax ? size : amax;
  for (; i < n; ++i) {
    const float size = __builtin_fabsf(x[i]);
    amax = size > amax ? size : amax;
  }
  return amax;
}

static void fake_quant_e4m3(const float* x, int cols, int block, float* out) {
  for (int first = 0; first < cols; first += block) {
    const int end = cols < first + block ? cols : first + block;
    const float scale = e4m3_block_scale(largest(x + first, end - first));
    for (int i = first; i < end; ++i) out[i] = round_to_e4m3(x[i] / scale) * scale;
  }
}

// round_to_e2m1 without its cases: adding 2^22, 2^23 or 2^24 leaves steps of 0.5, 1 or 2.
PLUMB_TIER_INLINE float nearest_e2m1(float x) {
  const float size = __builtin_fabsf(x);
  const float shift = size < 2.0f ? 0x1p22f : size < 4.0f ? 0x1p23f : 0x1p24f;
  const float stepped = (size + shift) - shift;
  return __builtin_copysignf(stepped < 6.0f ? stepped : 6.0f, x);
}

static void fake_quant_e2m1(const float* x, int cols, int block, float* out) {
  for (int first = 0; first < cols; first += block) {
    const int end = cols < first + block ? cols : first + block;
    const float scale = e2m1_block_scale(largest(x + first, end - first));
    for (int i = first; i < end; ++i) out[i] = nearest_e2m1(x[i] / scale) * scale;
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
