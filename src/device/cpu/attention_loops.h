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

// score[h][i] = q[h] . rows[i] for H heads, in lanes.
template <int H>
PLUMB_TIER_INLINE void score_heads(const float* const* q, const float* const* rows, int count,
                                   int n, float (*score)[kAttendBlock]) {
  int i = 0;
  for (; H > 1 && n % kLanes == 0 && i + 4 <= count; i += 4) {
    V acc[H][4];
    for (int h = 0; h < H; ++h) {
      for (int r = 0; r < 4; ++r) acc[h][r] = splat(0.0f);
    }
    for (int c = 0; c < n; c += kLanes) {
      V row[4];
      for (int r = 0; r < 4; ++r) row[r] = load(rows[i + r] + c);
      for (int h = 0; h < H; ++h) {
        const V x = load(q[h] + c);
        for (int r = 0; r < 4; ++r) acc[h][r] = fma(x, row[r], acc[h][r]);
      }
    }
    for (int h = 0; h < H; ++h) add_lanes_of_four(acc[h], score[h] + i);
  }
  for (int h = 0; h < H; ++h) dot_rows(q[h], rows + i, count - i, n, score[h] + i);
}

// acc[c] = fma(p[r], rows[r][c], acc[c] * factor), rows ascending, for W vectors of columns from c
// and H heads.
template <int H, int W>
PLUMB_TIER_INLINE void weigh_columns(AttendState* states, const float* factor,
                                     const float (*p)[kAttendBlock], const float* const* rows,
                                     int count, int c) {
  V sum[H][W];
  for (int h = 0; h < H; ++h) {
    for (int v = 0; v < W; ++v) {
      sum[h][v] = mul(load(states[h].acc + c + v * kLanes), splat(factor[h]));
    }
  }
  for (int r = 0; r < count; ++r) {
    V row[W];
    for (int v = 0; v < W; ++v) row[v] = load(rows[r] + c + v * kLanes);
    for (int h = 0; h < H; ++h) {
      const V weight = splat(p[h][r]);
      for (int v = 0; v < W; ++v) sum[h][v] = fma(weight, row[v], sum[h][v]);
    }
  }
  for (int h = 0; h < H; ++h) {
    for (int v = 0; v < W; ++v) store(states[h].acc + c + v * kLanes, sum[h][v]);
  }
}

// Scores of one head become probabilities in p; the head's sums but for acc are brought up to date.
// Gives the factor for acc.
PLUMB_TIER_INLINE float weigh_scores(const AttendShape& a, float* score, int count,
                                     AttendState& state, float* p) {
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
  state.top = top;
  state.den = den;
  return factor;
}

template <int H>
PLUMB_TIER_INLINE void attend_some(const AttendShape& a, const float* const* q,
                                   const float* const* rows, int count, AttendState* states) {
  constexpr int kWide = H > 1 ? 4 : 8;
  float score[H][kAttendBlock], p[H][kAttendBlock], factor[H];
  score_heads<H>(q, rows, count, a.dim, score);
  for (int h = 0; h < H; ++h) factor[h] = weigh_scores(a, score[h], count, states[h], p[h]);
  int c = 0;
  for (; c + kWide * kLanes <= a.dim; c += kWide * kLanes) {
    weigh_columns<H, kWide>(states, factor, p, rows, count, c);
  }
  for (; c + kLanes <= a.dim; c += kLanes) {
    weigh_columns<H, 1>(states, factor, p, rows, count, c);
  }
  for (; c < a.dim; ++c) {
    for (int h = 0; h < H; ++h) {
      float sum = states[h].acc[c] * factor[h];
      for (int r = 0; r < count; ++r) sum = __builtin_fmaf(p[h][r], rows[r][c], sum);
      states[h].acc[c] = sum;
    }
  }
}

static void attend_block(const AttendShape& a, const float* const* q, const float* const* rows,
                         int count, AttendState* states, int heads) {
  int h = 0;
#if defined(__AVX512F__)
  // A row that is loaded serves four heads; smaller register files hold one.
  for (; h + 4 <= heads; h += 4) attend_some<4>(a, q + h, rows, count, states + h);
#endif
  for (; h < heads; ++h) attend_some<1>(a, q + h, rows, count, states + h);
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
