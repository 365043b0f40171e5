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
  read_rows(table_, pages, first, count, a.dim, unpacked, rows);
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
    std::uint32_t* sortable = grow(keys_, all);
    const float* scores = scores_.data();
    const auto choose = [&](std::int64_t begin, std::int64_t end, int) {
      for (auto t = static_cast<int>(first + begin); t < first + end; ++t) {
        if (a.visible[t] <= a.top_k) continue;
        const float* of_token = index_scores_[static_cast<std::size_t>(t)];
        ref::select_top_k(of_token, a.visible[t], a.top_k, sortable + (of_token - scores),
                          a.selected.row(t));
      }
    };
    parallel(last - first, 1, all * 20, choose);
    first = last;
  }
}

}  // namespace plumb
