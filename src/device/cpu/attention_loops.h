// Attention and the indexer's scores. Included by the files of a tier only (see lanes.h).
#pragma once

#include "device/cpu/lanes.h"
#include "device/cpu/table.h"

namespace plumb::cpu::PLUMB_TIER {

inline constexpr int kAttendBlock = 64;

// q . rows[i] for four rows, in lanes.
PLUMB_TIER_INLINE void dot_four(const float* q, const float* const* rows, int n, float* out) {
  if (n % kLanes != 0) {
    for (int r = 0; r < 4; ++r) out[r] = add_lanes(lane_chains(q, rows[r], n));
    return;
  }
  V acc[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
  for (int i = 0; i < n; i += kLanes) {
    const V x = load(q + i);
    for (int r = 0; r < 4; ++r) acc[r] = fma(x, load(rows[r] + i), acc[r]);
  }
  add_lanes_of_four(acc, out);
}

PLUMB_TIER_INLINE void dot_rows(const float* q, const float* const* rows, int count, int n,
                                float* out) {
  int i = 0;
  for (; i + 4 <= count; i += 4) dot_four(q, rows + i, n, out + i);
  for (; i < count; ++i) out[i] = add_lanes(lane_chains(q, rows[i], n));
}

// acc[c] = fma(p[r], rows[r][c], acc[c] * factor), rows ascending, for W vectors of columns from c.
template <int W>
PLUMB_TIER_INLINE void weigh_columns(float* acc, float factor, const float* p,
                                     const float* const* rows, int count, int c) {
  V sum[W];
  for (int v = 0; v < W; ++v) sum[v] = mul(load(acc + c + v * kLanes), splat(factor));
  for (int r = 0; r < count; ++r) {
    const V weight = splat(p[r]);
    for (int v = 0; v < W; ++v) sum[v] = fma(weight, load(rows[r] + c + v * kLanes), sum[v]);
  }
  for (int v = 0; v < W; ++v) store(acc + c + v * kLanes, sum[v]);
}

static void attend_block(const AttendShape& a, const float* q, const float* const* rows, int count,
                         AttendState& state) {
  float score[kAttendBlock], p[kAttendBlock];
  dot_rows(q, rows, count, a.dim, score);
  float top = state.top;
  for (int i = 0; i < count; ++i) {
    score[i] *= a.scale;
    top = score[i] > top ? score[i] : top;
  }
  const float factor = math::exp(state.top - top);
  for (int i = count; i % kLanes != 0; ++i) score[i] = top;
  for (int i = 0; i < count; i += kLanes) store(p + i, exp(sub(load(score + i), splat(top))));
  float den = state.den * factor;
  for (int i = 0; i < count; ++i) den += p[i];
  if (a.round_probabilities) {
    for (int i = 0; i < count; i += kLanes) store(p + i, round_bf16(load(p + i)));
  }
  int c = 0;
  for (; c + 8 * kLanes <= a.dim; c += 8 * kLanes) {
    weigh_columns<8>(state.acc, factor, p, rows, count, c);
  }
  for (; c + kLanes <= a.dim; c += kLanes) weigh_columns<1>(state.acc, factor, p, rows, count, c);
  for (; c < a.dim; ++c) {
    float sum = state.acc[c] * factor;
    for (int r = 0; r < count; ++r) sum = __builtin_fmaf(p[r], rows[r][c], sum);
    state.acc[c] = sum;
  }
  state.top = top;
  state.den = den;
}

static void attend_finish(const AttendState& state, float sink, int dim, bool round_bf16,
                          float* out) {
  const float den = state.den + math::exp(sink - state.top);
  int c = 0;
  for (; c + kLanes <= dim; c += kLanes) {
    store(out + c, round_if(round_bf16, div(load(state.acc + c), splat(den))));
  }
  for (; c < dim; ++c) out[c] = round_if(round_bf16, state.acc[c] / den);
}

static void index_scores(const float* q, const float* w, int heads, int dim,
                         const float* const* rows, int count, float* score) {
  float dot[4];
  for (int i = 0; i < count; i += 4) {
    const int some = count - i < 4 ? count - i : 4;
    float sum[4] = {0, 0, 0, 0};
    for (int n = 0; n < heads; ++n) {
      dot_rows(q + static_cast<std::ptrdiff_t>(n) * dim, rows + i, some, dim, dot);
      for (int r = 0; r < some; ++r) {
        sum[r] = __builtin_fmaf(w[n], dot[r] > 0.0f ? dot[r] : 0.0f, sum[r]);
      }
    }
    for (int r = 0; r < some; ++r) score[i + r] = sum[r];
  }
}

}  // namespace plumb::cpu::PLUMB_TIER
