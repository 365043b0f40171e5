#include <algorithm>
#include <numeric>

#include "device/cpu/kernels.h"
#include "device/cpu/rows.h"
#include "device/cpu/scratch.h"
#include "device/ref/index.h"
#include "device/ref/rows.h"

namespace plumb {
namespace {

using cpu::grow;

constexpr int kBlock = cpu::kPackedIndexKeys;  // keys that are unpacked together
constexpr int kKeysPerPiece = 512;
constexpr int kTokensPerPiece = 16;  // that share unpacked keys
constexpr std::int64_t kScoresAtOnce = std::int64_t{1} << 24;

std::int64_t whole_blocks(std::int64_t keys) { return (keys + kBlock - 1) / kBlock * kBlock; }

}  // namespace

// Scores of one block for the tokens of a piece that see it; those of keys past what a token sees
// are written too, and not looked at.
void CpuKernels::score_block(const IndexTopKArgs& a, const IndexWork& work, std::int64_t first,
                             int count, Scratch& scratch) {
  const float** q = grow(scratch.rows, 2 * kTokensPerPiece + kBlock);
  const float** w = q + kTokensPerPiece;
  const float** rows = w + kTokensPerPiece;
  float** score = grow(scratch.out, kTokensPerPiece);
  float* unpacked = grow(scratch.numbers, kBlock * a.dim);
  const PagedRows& pages = a.keys[a.sequence[work.t]];
  const bool packed = index_packed_ && pages.format == kRowE2M1;
  const std::byte* queries[kTokensPerPiece];
  int tokens = 0;
  for (int t = work.t; t < work.t + work.tokens; ++t) {
    if (a.visible[t] <= first) continue;
    q[tokens] = a.q.row(t);
    w[tokens] = index_weights_.data() + t * a.heads;
    queries[tokens] = index_queries_.data() + t * index_query_bytes_;
    score[tokens++] = index_scores_[static_cast<std::size_t>(t)] + first;
  }
  if (packed) {
    const std::byte* keys[kBlock];
    for (int i = 0; i < count; ++i) keys[i] = ref::paged_row(pages, first + i, a.dim);
    table_.index_products({keys, count, a.heads, tokens, q, queries, w, score, unpacked});
    return;
  }
  read_rows(table_, pages, first, count, a.dim, unpacked, a.dim, rows);
  for (int t = 0; t < tokens; ++t) {
    table_.index_scores(q[t], w[t], a.heads, a.dim, rows, count, score[t]);
  }
}

// Weights and queries of all tokens in the form that scoring wants.
void CpuKernels::prepare_queries(const IndexTopKArgs& a) {
  const int tokens = a.q.rows;
  float* w = grow(index_weights_, tokens * a.heads);
  for (int t = 0; t < tokens; ++t) {
    for (int n = 0; n < a.heads; ++n) {
      w[t * a.heads + n] = round_if(a.round_bf16, a.w.row(t)[n] * a.w_scale);
    }
  }
  index_packed_ = table_.index_products != nullptr && a.dim == cpu::kPackedIndexDim;
  if (!index_packed_) return;
  index_query_bytes_ = cpu::packed_query_bytes(a.heads);
  std::byte* queries = grow(index_queries_, tokens * index_query_bytes_);
  const auto pack = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto t = static_cast<int>(begin); t < end; ++t) {
      if (a.visible[t] <= a.top_k || a.keys[a.sequence[t]].format != kRowE2M1) continue;
      table_.pack_index_queries(a.q.row(t), a.heads, queries + t * index_query_bytes_);
    }
  };
  parallel(tokens, 1, std::int64_t{tokens} * a.heads * a.dim, pack);
}

// Cuts the scoring of tokens [first, last) into pieces: neighbours of one sequence together, their
// keys by the hundred. Gives the sum of what the tokens see.
std::int64_t CpuKernels::plan_scoring(const IndexTopKArgs& a, int first, int last) {
  index_work_.clear();
  std::int64_t all = 0;
  for (int t = first; t < last; ++t) {
    if (a.visible[t] > a.top_k) all += whole_blocks(a.visible[t]);
  }
  float* next = grow(scores_, all);
  const auto scored = [&](int t) { return t < last && a.visible[t] > a.top_k; };
  for (int t = first; t < last;) {
    if (!scored(t)) {
      std::iota(a.selected.row(t), a.selected.row(t) + a.visible[t], 0);
      ++t;
      continue;
    }
    int tokens = 0;
    std::int64_t most = 0;
    for (;
         tokens < kTokensPerPiece && scored(t + tokens) && a.sequence[t + tokens] == a.sequence[t];
         ++tokens) {
      index_scores_[static_cast<std::size_t>(t + tokens)] = next;
      next += whole_blocks(a.visible[t + tokens]);
      most = std::max(most, a.visible[t + tokens]);
    }
    for (std::int64_t i = 0; i < most; i += kKeysPerPiece) {
      index_work_.push_back({t, tokens, i, std::min(most, i + kKeysPerPiece)});
    }
    t += tokens;
  }
  return all;
}

// select_top_k for one token, most scores only compared. The scores are cut into at least twice
// top_k sets: the top_k-th of their maxima is not above the top_k-th score, so none below it is
// chosen.
void CpuKernels::choose_keys(const IndexTopKArgs& a, int t, Scratch& scratch) {
  constexpr std::int64_t kLanes = 16, kMostVectors = 32;
  const float* score = index_scores_[static_cast<std::size_t>(t)];
  const std::int64_t n = a.visible[t];
  std::uint32_t* keys = keys_.data() + (score - scores_.data());
  std::int32_t* selected = a.selected.row(t);
  const std::int64_t sets = 2 * std::max<std::int64_t>(a.top_k, 1);
  const std::int64_t vectors = std::min(kMostVectors, n / kLanes / ((sets + 15) / 16));
  const std::int64_t groups = vectors < 2 ? 0 : n / (kLanes * vectors);
  float* maxima = grow(scratch.numbers, std::max<std::int64_t>(groups * kLanes, 1));
  const bool ordered =
      groups > 0 && a.top_k > 0 &&
      table_.group_maxima(score, groups, static_cast<int>(vectors), maxima) &&
      std::none_of(score + groups * kLanes * vectors, score + n, [](float x) { return x != x; });
  if (!ordered) {
    return ref::select_top_k(score, n, a.top_k, keys, selected);
  }
  ref::select_top_k(maxima, groups * kLanes, a.top_k, keys, selected);
  float least = maxima[selected[0]];
  for (int i = 1; i < a.top_k; ++i) least = std::min(least, maxima[selected[i]]);
  std::int32_t* place = grow(scratch.places, n + kLanes);
  const std::int64_t count = table_.places_from(score, n, least, place);
  if (count == a.top_k) {
    std::copy_n(place, count, selected);
    return;
  }
  float* candidate = grow(scratch.numbers, count);
  for (std::int64_t i = 0; i < count; ++i) candidate[i] = score[place[i]];
  ref::select_top_k(candidate, count, a.top_k, keys, selected);
  for (int i = 0; i < a.top_k; ++i) selected[i] = place[selected[i]];
}

void CpuKernels::index_top_k(const IndexTopKArgs& a) {
  const int tokens = a.q.rows;
  prepare_queries(a);
  grow(index_scores_, tokens);
  for (int t = 0; t < tokens; ++t) {
    a.count[t] = static_cast<std::int32_t>(std::min<std::int64_t>(a.visible[t], a.top_k));
  }
  for (int first = 0; first < tokens;) {
    // As many tokens as the scores of one round have room for.
    int last = first;
    std::int64_t room = kScoresAtOnce;
    for (; last < tokens && (last == first || a.visible[last] <= room); ++last) {
      room -= a.visible[last] > a.top_k ? whole_blocks(a.visible[last]) : 0;
    }
    const std::int64_t all = plan_scoring(a, first, last);
    const auto score = [&](std::int64_t begin, std::int64_t end, int thread) {
      for (std::int64_t i = begin; i < end; ++i) {
        const IndexWork& work = index_work_[static_cast<std::size_t>(i)];
        for (std::int64_t key = work.first; key < work.last; key += kBlock) {
          const auto count = static_cast<int>(std::min<std::int64_t>(kBlock, work.last - key));
          score_block(a, work, key, count, scratch_[static_cast<std::size_t>(thread)]);
        }
      }
    };
    parallel(static_cast<std::int64_t>(index_work_.size()), 1, all * a.heads * a.dim, score);
    grow(keys_, all);
    const auto choose = [&](std::int64_t begin, std::int64_t end, int thread) {
      for (auto t = static_cast<int>(first + begin); t < first + end; ++t) {
        if (a.visible[t] > a.top_k) choose_keys(a, t, scratch_[static_cast<std::size_t>(thread)]);
      }
    };
    parallel(last - first, 1, all * 4, choose);
    first = last;
  }
}

}  // namespace plumb
