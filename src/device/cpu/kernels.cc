#include "device/cpu/kernels.h"

#include <algorithm>
#include <cmath>

#include "device/cpu/scratch.h"
#include "device/ref/route.h"
#include "tensor/format.h"
#include "tensor/math.h"

namespace plumb {
namespace {

using cpu::grow;

constexpr int kTokensPerPiece = 48, kFastTokensPerPiece = 128;

}  // namespace

CpuKernels::CpuKernels(const cpu::KernelTable& table, ThreadPool& pool, std::int64_t worth_waking)
    : table_(table),
      pool_(pool),
      worth_waking_(worth_waking),
      scratch_(static_cast<std::size_t>(pool.size())) {}

void CpuKernels::embed(const EmbedArgs& a) {
  const int d = a.table.cols;
  for (int t = 0; t < a.out.rows; ++t) {
    float* out = a.out.row(t);
    if (a.table.layout == Layout::kTiled) {
      cpu::decode_tiled_row(a.table, a.tokens[t], out);
    } else {
      dequantise(a.table, a.tokens[t], {out, static_cast<std::size_t>(d)});
    }
    for (int copy = 1; copy < a.copies; ++copy) std::copy_n(out, d, out + copy * d);
  }
}

void CpuKernels::rms_norm(const RmsNormArgs& a) {
  const int d = a.width > 0 ? a.width : a.x.cols, parts = a.x.cols / d;
  const auto norm = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto n = static_cast<int>(begin); n < end; ++n) {
      const float* x = a.x.row(n / parts) + n % parts * d;
      float* out = a.out.row(n / parts) + n % parts * d;
      const float sum = a.bf16_chain ? table_.bf16_square_sum(x, d) : table_.sum_of_squares(x, d);
      const float mean = sum / static_cast<float>(d);
      if (a.bf16_chain) {
        const float r = round_to_bf16(math::rsqrt(round_to_bf16(round_to_bf16(mean) + a.eps)));
        table_.scale_row(x, nullptr, r, d, true, out);
      } else {
        table_.scale_row(x, a.gain, math::rsqrt(mean + a.eps), d, a.round_bf16, out);
      }
    }
  };
  const std::int64_t rows = std::int64_t{a.x.rows} * parts;
  parallel(rows, 16, rows * d, norm);
}

void CpuKernels::fake_quant(const FakeQuantArgs& a) {
  const auto quantise = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto n = static_cast<int>(begin); n < end; ++n) {
      const float* x = a.x.row(n);
      float* out = a.out.row(n);
      if (out != x) {
        std::copy_n(x, a.first_col, out);
        std::copy(x + a.first_col + a.cols, x + a.x.cols, out + a.first_col + a.cols);
      }
      if (a.kind == FakeQuantArgs::Kind::kE4M3) {
        table_.fake_quant_e4m3(x + a.first_col, a.cols, a.block, out + a.first_col);
      } else {
        table_.fake_quant_e2m1(x + a.first_col, a.cols, a.block, out + a.first_col);
      }
    }
  };
  parallel(a.x.rows, 8, std::int64_t{a.x.rows} * a.cols * 16, quantise);
}

void CpuKernels::hadamard(const HadamardArgs& a) {
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.width)));
  const auto transform = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto n = static_cast<int>(begin); n < end; ++n) {
      for (float* x = a.x.row(n); x < a.x.row(n) + a.x.cols; x += a.width) {
        table_.hadamard(x, a.width, factor, a.round_bf16);
      }
    }
  };
  parallel(a.x.rows, 4, std::int64_t{a.x.rows} * a.x.cols * 8, transform);
}

int CpuKernels::tiles_per_piece(int tiles) const {
  int piece = cpu::kPanelTiles;
  while (piece > 1 && tiles < piece * pool_.size()) piece /= 2;
  return piece;
}

// Row-major weights: each tile is decoded once, then multiplied as fp32, which is the same chain.
void CpuKernels::multiply_row_major(const Product& p, int first_tile, int last_tile, int thread) {
  const WeightView& w = *p.w;
  Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
  float* row = grow(scratch.numbers, w.cols);
  float* tile = grow(scratch.more, w.cols * cpu::kTileRows);
  float** out = grow(scratch.out, p.tokens);
  for (int i = first_tile; i < last_tile; ++i) {
    const int first_row = i * cpu::kTileRows;
    cpu::decode_row_major_tile(w, i, row, tile);
    for (int t = 0; t < p.tokens; ++t) out[t] = p.out[t] + (first_row - p.first_row);
    const cpu::TileShape shape{std::min(cpu::kTileRows, w.rows - first_row), w.cols, w.cols, 0, 32};
    table_.multiply({reinterpret_cast<const std::byte*>(tile), Element::kF32, shape, p.x, out,
                     p.tokens, p.k_block, p.round_bf16, 0, 1, nullptr});
  }
}

// The tier's own loops read tiles only: each is made in scratch, its scales one per row.
void CpuKernels::multiply_row_major_prepared(const Product& p, int first_tile, int last_tile,
                                             int thread) {
  const WeightView& w = *p.w;
  Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
  float** out = grow(scratch.out, p.tokens);
  WeightView rows = w;
  const cpu::TileShape whole = cpu::tile_shape(w);
  const std::size_t scale_row = static_cast<std::size_t>(whole.scale_bytes * whole.groups());
  std::byte* scales = grow(scratch.scales, scale_row * cpu::kTileRows);
  if (w.scales != nullptr) {
    rows.scales = scales;
    rows.format.block_rows = 1;
  }
  for (int i = first_tile; i < last_tile; ++i) {
    const int first = i * cpu::kTileRows;
    rows.rows = std::min(cpu::kTileRows, w.rows - first);
    rows.data = w.data + static_cast<std::size_t>(first) * row_bytes(w.format, w.cols);
    for (int r = 0; w.scales != nullptr && r < rows.rows; ++r) {
      const auto block = static_cast<std::size_t>((first + r) / w.format.block_rows);
      std::copy_n(w.scales + block * scale_row, scale_row,
                  scales + static_cast<std::size_t>(r) * scale_row);
    }
    const cpu::TileShape shape = cpu::tile_shape(rows);
    std::byte* tile = grow(scratch.tile, shape.total_bytes());
    std::fill_n(tile, shape.total_bytes(), std::byte{0});
    // A NaN code is no reason to stop here: it shows in the result.
    (void)cpu::tile_rows(rows, 0, rows.rows, tile);
    for (int t = 0; t < p.tokens; ++t) out[t] = p.out[t] + (first - p.first_row);
    table_.multiply_prepared(
        {tile, w.format.element, shape, nullptr, out, p.tokens, 0, false, 0, 1, p.prepared});
  }
}

void CpuKernels::multiply(const Product& p, int first_tile, int last_tile, int thread) {
  if (p.w->layout == Layout::kRowMajor) {
    return p.prepared != nullptr ? multiply_row_major_prepared(p, first_tile, last_tile, thread)
                                 : multiply_row_major(p, first_tile, last_tile, thread);
  }
  if (p.prepared != nullptr) {
    return table_.multiply_prepared({p.w->data, p.w->format.element, cpu::tile_shape(*p.w), nullptr,
                                     p.out, p.tokens, 0, false, first_tile, last_tile, p.prepared,
                                     p.first_row});
  }
  table_.multiply({p.w->data, p.w->format.element, cpu::tile_shape(*p.w), p.x, p.out, p.tokens,
                   p.k_block, p.round_bf16, first_tile, last_tile, nullptr, p.first_row});
}

std::size_t CpuKernels::fast_row_bytes(FastInput kind, int cols) const {
  const std::size_t bytes = own_form(kind) ? table_.prepared_bytes(kind, cols)
                                           : sizeof(float) * static_cast<std::size_t>(cols);
  return ((bytes + 63) / 64 | 1) *
         64;  // an odd number of lines: neighbours fall into all cache sets
}

void CpuKernels::write_fast_row(FastInput kind, const float* x, int cols, std::byte* out) const {
  if (own_form(kind)) return table_.prepare(kind, x, cols, out);
  round_fast_input(kind, x, cols, reinterpret_cast<float*>(out));
}

void CpuKernels::make_fast_rows(FastInput kind, const float* const* x, int tokens, int cols,
                                FastRows& rows) {
  const std::size_t bytes = fast_row_bytes(kind, cols);
  std::byte* memory = grow(rows.memory, bytes * static_cast<std::size_t>(tokens));
  const float** floats = grow(rows.x, tokens);
  const std::byte** prepared = grow(rows.prepared, tokens);
  for (int t = 0; t < tokens; ++t) {
    prepared[t] = memory + bytes * static_cast<std::size_t>(t);
    floats[t] = reinterpret_cast<const float*>(prepared[t]);
  }
  parallel(tokens, 4, std::int64_t{tokens} * cols, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t t = begin; t < end; ++t) {
      write_fast_row(kind, x[t], cols, memory + bytes * static_cast<std::size_t>(t));
    }
  });
}

void CpuKernels::matmul(const MatMulArgs& a) {
  const int tokens = a.x.rows;
  if (tokens == 0) return;
  const float** x = grow(x_rows_, tokens);
  float** out = grow(out_rows_, tokens);
  for (int t = 0; t < tokens; ++t) {
    x[t] = a.x.row(t);
    out[t] = a.out.row(t);
  }
  const FastInput kind = a.fast ? fast_input(a.w) : FastInput::kExact;
  const std::byte* const* prepared = nullptr;
  if (kind != FastInput::kExact) {
    make_fast_rows(kind, x, tokens, a.x.cols, fast_rows_);
    if (own_form(kind)) prepared = fast_rows_.prepared.data();
    x = fast_rows_.x.data();
  }
  const int k_block = a.fast ? 0 : a.k_block;
  const int tiles = (a.w.rows + cpu::kTileRows - 1) / cpu::kTileRows;
  const int piece = tiles_per_piece(tiles);
  // Decoding a row-major tile is dear: all its tokens stay together.
  const int most = prepared == nullptr ? kTokensPerPiece : kFastTokensPerPiece;
  const int chunk = a.w.layout == Layout::kTiled ? most : tokens;
  const std::int64_t pieces = (tiles + piece - 1) / piece, chunks = (tokens + chunk - 1) / chunk;
  const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end;) {
      const auto c = static_cast<int>(i / pieces), first = static_cast<int>(i % pieces);
      const auto count = static_cast<int>(std::min<std::int64_t>(end - i, pieces - first));
      const int token = c * chunk;
      multiply({&a.w, x + token, out + token, std::min(chunk, tokens - token), k_block,
                a.round_bf16, prepared == nullptr ? nullptr : prepared + token},
               first * piece, std::min(tiles, (first + count) * piece), thread);
      i += count;
    }
  };
  parallel(pieces * chunks, 1, std::int64_t{tokens} * a.w.rows * a.w.cols, run);
}

void CpuKernels::rope(const RopeArgs& a) {
  const int pairs = a.rope_dim / 2;
  const auto rotate = [&](std::int64_t begin, std::int64_t end, int thread) {
    float* turns = grow(scratch_[static_cast<std::size_t>(thread)].numbers, a.rope_dim);
    for (auto n = static_cast<int>(begin); n < end; ++n) {
      table_.turns(static_cast<float>(a.position[n]), a.freq, pairs, turns, turns + pairs);
      table_.rotate(a.x.row(n), a.x.cols, a.head_dim, a.head_dim - a.rope_dim, pairs, turns,
                    turns + pairs, a.inverse, a.round_bf16);
    }
  };
  const std::int64_t turned = std::int64_t{a.x.cols} / a.head_dim * a.rope_dim;
  parallel(a.x.rows, 1, a.x.rows * (turned * 8 + a.rope_dim * 100), rotate);
}

void CpuKernels::route(const RouteArgs& a) {
  const int tokens = a.x.rows, experts = a.gate.rows;
  float* z = grow(logits_, tokens * experts);
  matmul({a.x, a.gate, 0, false, Mat<float>::dense(z, tokens, experts)});
  const auto choose = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto t = static_cast<int>(begin); t < end; ++t) {
      table_.router_scores(z + t * experts, experts);
      ref::choose_experts(a, t, z + t * experts);
    }
  };
  parallel(tokens, 4, std::int64_t{tokens} * experts * (64 + 16 * a.k), choose);
}

}  // namespace plumb
