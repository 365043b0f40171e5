#include <algorithm>

#include "device/cpu/kernels.h"
#include "device/cpu/scratch.h"

namespace plumb {
namespace {

using cpu::grow;

constexpr int kInputBlock = 128;

int tiles_of(const WeightView& w) { return (w.rows + cpu::kTileRows - 1) / cpu::kTileRows; }

}  // namespace

// Pairs by expert, ascending; within an expert by token. The shared expert takes every token.
void CpuKernels::group_pairs(const MoeArgs& a) {
  const int tokens = a.x.rows, k = a.expert.cols;
  const auto experts = static_cast<int>(a.experts.size());
  const int pairs = tokens * (k + 1);
  std::int32_t* cursor = grow(cursor_, experts + 1);
  std::fill_n(cursor, experts + 1, 0);
  for (int t = 0; t < tokens; ++t) {
    for (int i = 0; i < k; ++i) ++cursor[a.expert.row(t)[i] + 1];
  }
  groups_.clear();
  for (int e = 0; e < experts; ++e) {
    const std::int32_t count = cursor[e + 1];
    cursor[e + 1] += cursor[e];
    if (count == 0) continue;
    groups_.push_back({&a.experts[static_cast<std::size_t>(e)], cursor[e], count, a.k_block_up,
                       a.k_block_down, FastInput::kExact, FastInput::kExact, 0, false});
  }
  groups_.push_back({&a.shared, tokens * k, tokens, a.k_block_shared, a.k_block_shared,
                     FastInput::kExact, FastInput::kExact, 0, true});
  for (ExpertGroup& g : groups_) {
    if (!a.fast) break;
    g.k_up = g.k_down = 0;
    g.kind_up = fast_input(g.weights->w1);
    g.kind_down = fast_input(g.weights->w2);
  }
  int* token = grow(pair_token_, pairs);
  float* weight = grow(pair_weight_, pairs);
  for (int t = 0; t < tokens; ++t) {
    for (int i = 0; i < k; ++i) {
      const int pair = cursor[a.expert.row(t)[i]]++;
      token[pair] = t;
      weight[pair] = a.weight.row(t)[i];
    }
    token[tokens * k + t] = t;
    weight[tokens * k + t] = 1.0f;
  }
}

void CpuKernels::expert_inputs(const MoeArgs& a) {
  const int tokens = a.x.rows, d = a.x.cols, pairs = tokens * (a.expert.cols + 1);
  int inter = a.shared.w1.rows;
  for (const ExpertGroup& g : groups_) inter = std::max(inter, g.weights->w1.rows);
  Mat<const float> x = a.x;
  if (a.quantise_inputs) {
    const Mat<float> quantised = Mat<float>::dense(grow(quantised_, tokens * d), tokens, d);
    fake_quant({a.x, FakeQuantArgs::Kind::kE4M3, 0, d, kInputBlock, quantised});
    x = quantised;
  }
  const auto size = static_cast<std::size_t>(pairs) * static_cast<std::size_t>(inter);
  float *gate = grow(gate_, size), *up = grow(up_, size);
  grow(pair_x_, pairs);
  grow(pair_g_, pairs);
  grow(pair_u_, pairs);
  grow(pair_a_, pairs);
  for (int p = 0; p < pairs; ++p) {
    const auto i = static_cast<std::size_t>(p);
    pair_x_[i] = x.row(pair_token_[i]);
    pair_a_[i] = pair_g_[i] = gate + i * static_cast<std::size_t>(inter);
    pair_u_[i] = up + i * static_cast<std::size_t>(inter);
  }
  if (a.fast) expert_fast_inputs(a, inter);
}

// Each kind of input once per token, and where every pair finds its own; room for the activations.
void CpuKernels::expert_fast_inputs(const MoeArgs& a, int inter) {
  const int tokens = a.x.rows, d = a.x.cols, pairs = tokens * (a.expert.cols + 1);
  bool made[3] = {};
  grow(x_rows_, tokens);
  for (int t = 0; t < tokens; ++t) x_rows_[static_cast<std::size_t>(t)] = a.x.row(t);
  std::size_t bytes = 0;
  for (const ExpertGroup& g : groups_) {
    const auto kind = static_cast<std::size_t>(g.kind_up);
    if (!made[kind] && g.kind_up != FastInput::kExact) {
      make_fast_rows(g.kind_up, x_rows_.data(), tokens, d, fast_inputs_[kind]);
      made[kind] = true;
    }
    bytes = std::max(bytes, fast_row_bytes(g.kind_down, inter));
  }
  std::byte* memory = grow(fast_acts_, bytes * static_cast<std::size_t>(pairs));
  grow(pair_fast_x_, pairs);
  grow(pair_fast_a_, pairs);
  for (const ExpertGroup& g : groups_) {
    for (int p = g.first; p < g.first + g.count; ++p) {
      const auto i = static_cast<std::size_t>(p);
      if (g.kind_up != FastInput::kExact) {
        const FastRows& rows = fast_inputs_[static_cast<std::size_t>(g.kind_up)];
        pair_x_[i] = rows.x[static_cast<std::size_t>(pair_token_[i])];
        pair_fast_x_[i] = rows.prepared[static_cast<std::size_t>(pair_token_[i])];
      }
      if (g.kind_down != FastInput::kExact) {
        pair_fast_a_[i] = memory + bytes * i;
        pair_a_[i] = reinterpret_cast<const float*>(pair_fast_a_[i]);
      }
    }
  }
}

// g = w1 x and u = w3 x for every pair: pieces are panels, first of w1, then of w3, group by group.
void CpuKernels::expert_up(const MoeArgs& a) {
  std::int64_t pieces = 0, cost = 0;
  const int piece = tiles_per_piece(2 * tiles_of(a.shared.w1) * static_cast<int>(groups_.size()));
  const auto half = [piece](const ExpertGroup& g) {
    return (tiles_of(g.weights->w1) + piece - 1) / piece;
  };
  for (ExpertGroup& g : groups_) {
    g.first_piece = pieces;
    pieces += 2 * half(g);
    cost += std::int64_t{2} * g.count * g.weights->w1.rows * g.weights->w1.cols;
  }
  const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto after = std::upper_bound(
          groups_.begin(), groups_.end(), i,
          [](std::int64_t value, const ExpertGroup& g) { return value < g.first_piece; });
      const ExpertGroup& g = *(after - 1);
      const auto local = static_cast<int>(i - g.first_piece), per_half = half(g);
      const bool gate = local < per_half;
      const WeightView& w = gate ? g.weights->w1 : g.weights->w3;
      const int tile = (gate ? local : local - per_half) * piece;
      const auto first = static_cast<std::size_t>(g.first);
      multiply({&w, pair_x_.data() + first, (gate ? pair_g_ : pair_u_).data() + first, g.count,
                g.k_up, a.round_bf16, own_form(g.kind_up) ? pair_fast_x_.data() + first : nullptr},
               tile, std::min(tiles_of(w), tile + piece), thread);
    }
  };
  parallel(pieces, 1, cost, run);
}

void CpuKernels::expert_activation(const MoeArgs& a) {
  const int pairs = a.x.rows * (a.expert.cols + 1);
  const FastInput routed = groups_.front().kind_down, last = groups_.back().kind_down;
  const auto run = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const bool shared = i >= static_cast<std::size_t>(groups_.back().first);
      const int inter = (shared ? a.shared : a.experts.front()).w1.rows;
      table_.swiglu(pair_g_[i], pair_u_[i], inter, a.clamp, pair_weight_[i], a.round_bf16);
      if (a.quantise_inputs) {
        table_.fake_quant_e4m3(pair_g_[i], inter, kInputBlock, pair_g_[i]);
      }
      const FastInput kind = shared ? last : routed;
      if (kind == FastInput::kExact) continue;
      write_fast_row(kind, pair_g_[i], inter, pair_fast_a_[i]);
    }
  };
  parallel(pairs, 1, std::int64_t{pairs} * a.shared.w1.rows * 20, run);
}

// out = sum of w2 a, experts ascending, the shared one last. A thread owns output rows of all
// experts.
void CpuKernels::expert_down(const MoeArgs& a) {
  const int tokens = a.x.rows, d = a.out.cols;
  const int tiles = tiles_of(a.shared.w2), piece = tiles_per_piece(tiles);
  const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
    const int first_tile = static_cast<int>(begin) * piece;
    const int last_tile = std::min(tiles, static_cast<int>(end) * piece);
    const int row = first_tile * cpu::kTileRows;
    const int rows = std::min(d, last_tile * cpu::kTileRows) - row;
    Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
    float* y = grow(scratch.products, tokens * rows);
    float** y_rows = grow(scratch.product_rows, tokens);
    for (int t = 0; t < tokens; ++t) {
      std::fill_n(a.out.row(t) + row, rows, 0.0f);
      y_rows[t] = y + t * rows;
    }
    for (const ExpertGroup& g : groups_) {
      const auto first = static_cast<std::size_t>(g.first);
      multiply({&g.weights->w2, pair_a_.data() + first, y_rows, g.count, g.k_down, a.round_bf16,
                own_form(g.kind_down) ? pair_fast_a_.data() + first : nullptr, row},
               first_tile, last_tile, thread);
      for (int i = 0; i < g.count; ++i) {
        const int t = pair_token_[first + static_cast<std::size_t>(i)];
        table_.add(y_rows[i], rows, g.shared && a.round_bf16, a.out.row(t) + row);
      }
    }
  };
  const std::int64_t pairs = std::int64_t{tokens} * (a.expert.cols + 1);
  parallel((tiles + piece - 1) / piece, 1, pairs * a.shared.w2.rows * a.shared.w2.cols, run);
}

void CpuKernels::moe(const MoeArgs& a) {
  if (a.x.rows == 0) return;
  group_pairs(a);
  expert_inputs(a);
  expert_up(a);
  expert_activation(a);
  expert_down(a);
}

}  // namespace plumb
