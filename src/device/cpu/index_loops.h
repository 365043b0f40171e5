// The indexer's scores of packed keys, and what choosing the largest needs. Included by the files
// of a tier only (see lanes.h).
#pragma once

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)
#include "device/cpu/index_bytes.h"
#define PLUMB_INDEX_PRODUCTS
#elif defined(__AVX2__) && !defined(__AVX512F__)
#include "device/cpu/index_words_avx2.h"
#define PLUMB_INDEX_PRODUCTS
#else
#include "device/cpu/index_parts.h"
#endif

namespace plumb::cpu::PLUMB_TIER {

// For each of `groups` runs of 16 * vectors scores, the 16 maxima of every 16th one; false when a
// score is no number.
static bool group_maxima(const float* score, std::int64_t groups, int vectors, float* maxima) {
  int bad = 0;
  for (std::int64_t g = 0; g < groups; ++g, maxima += kLanes) {
    V most = load(score);
    for (int v = 0; v < vectors; ++v, score += kLanes) {
      most = max(load(score), most);
      for (int l = 0; l < kLanes; ++l) bad |= score[l] != score[l];
    }
    store(maxima, most);
  }
  return bad == 0;
}

// The places of scores not below `least`, ascending; `place` has room for 16 more than there are.
static std::int64_t places_from(const float* score, std::int64_t n, float least,
                                std::int32_t* place) {
  std::int64_t count = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#if defined(__AVX512F__)
    const __mmask16 taken =
        _mm512_cmp_ps_mask(_mm512_loadu_ps(score + i), _mm512_set1_ps(least), _CMP_GE_OQ);
    if (taken == 0) continue;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(i)), lane);
    _mm512_storeu_si512(place + count, _mm512_maskz_compress_epi32(taken, at));
    count += __builtin_popcount(taken);
#else
    int any = 0;
    for (int l = 0; l < kLanes; ++l) any |= score[i + l] >= least;
    for (int l = 0; any != 0 && l < kLanes; ++l) {
      if (score[i + l] >= least) place[count++] = static_cast<std::int32_t>(i + l);
    }
#endif
  }
  for (; i < n; ++i) {
    if (score[i] >= least) place[count++] = static_cast<std::int32_t>(i);
  }
  return count;
}

#if defined(PLUMB_INDEX_PRODUCTS)

// The same for head n alone from unpacked keys.
PLUMB_TIER_INLINE void add_wild_head(const IndexProduct& a, const float* q, float w,
                                     const float* const* rows, float* score) {
  float dot[kPackedIndexKeys];
  dot_rows(q, rows, a.count, kIndexDim, dot);
  for (int i = 0; i < a.count; ++i) {
    score[i] = __builtin_fmaf(w, dot[i] > 0.0f ? dot[i] : 0.0f, score[i]);
  }
}

static void index_products(const IndexProduct& a) {
  KeyBlock block;
  pack_keys(a.keys, a.count, block);
  const float* rows[kPackedIndexKeys];
  bool unpacked = false;
  const auto unpack = [&] {
    for (int i = 0; i < a.count && !unpacked; ++i) {
      rows[i] = a.scratch + i * kIndexDim;
      decode_e2m1(a.keys[i], kIndexDim, a.scratch + i * kIndexDim);
    }
    unpacked = true;
  };
  for (int t = 0; t < a.tokens; ++t) {
    const PackedQueries q(a.packed[t], a.heads);
    float* score = a.score[t];
    for (int i = 0; i < kPackedIndexKeys; i += kLanes) store(score + i, splat(0.0f));
    for (int n = 0; n < a.heads;) {
      const float* scale = q.scale + n;
      if (n + 4 <= a.heads && scale[0] != 0 && scale[1] != 0 && scale[2] != 0 && scale[3] != 0) {
        add_heads<4>(block, q, a.w[t], n, score);
        n += 4;
        continue;
      }
      if (scale[0] != 0) {
        add_heads<1>(block, q, a.w[t], n, score);
      } else {
        unpack();
        add_wild_head(a, a.q[t] + n * kIndexDim, a.w[t][n], rows, score);
      }
      ++n;
    }
    if (block.wild == 0) continue;
    unpack();
    for (int i = 0; i < a.count; ++i) {
      if ((block.wild >> i & 1) == 0) continue;
      index_scores(a.q[t], a.w[t], a.heads, kIndexDim, rows + i, 1, score + i);
    }
  }
}

#else

static constexpr void (*pack_index_queries)(const float*, int, std::byte*) = nullptr;
static constexpr void (*index_products)(const IndexProduct&) = nullptr;

#endif

}  // namespace plumb::cpu::PLUMB_TIER
