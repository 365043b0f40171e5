#include "model/deepseek_v4/attention.h"

#include <cmath>

#include "model/deepseek_v4/compressor.h"

namespace plumb::deepseek_v4 {
namespace {

void rotate(const Context& c, const StepView& step, const LayerWeights& layer, Mat<float> x,
            int head_dim, bool inverse) {
  RopeArgs args;
  args.x = x;
  args.position = step.position.data();
  args.freq = layer.freq;
  args.head_dim = head_dim;
  args.rope_dim = c.config.rope_dim;
  args.inverse = inverse;
  args.round_bf16 = c.numerics.round_bf16;
  c.k.rope(args);
}

// a.y → a.qr (kept for the indexer) and a.q, normed per head and rotated.
void queries(const Context& c, const StepView& step, const LayerWeights& layer, Activations& a) {
  const int t = step.size();
  const Config& m = c.config;
  linear(c, a.y.slice(0, t), layer.attn.wq_a, a.quantised, a.qr.slice(0, t));
  norm(c, a.qr.slice(0, t), layer.attn.q_norm);
  const Mat<float> q = a.q.slice(0, t);
  linear(c, a.qr.slice(0, t), layer.attn.wq_b, a.quantised, q);
  RmsNormArgs per_head;
  per_head.x = q;
  per_head.width = m.head_dim;
  per_head.eps = m.norm_eps;
  per_head.bf16_chain = c.numerics.round_bf16;
  per_head.out = q;
  c.k.rms_norm(per_head);
  rotate(c, step, layer, q, m.head_dim, false);
}

// The rows that query t may attend beyond its window, by the indexer (spec 2.7).
void choose(const Context& c, const StepView& step, const LayerWeights& layer, const LayerState& state,
            std::span<const std::int64_t> visible, Activations& a) {
  const int t = step.size();
  const Config& m = c.config;
  const IndexerWeights& w = *layer.attn.indexer;
  const Mat<float> q = a.index_q.slice(0, t);
  linear(c, a.qr.slice(0, t), w.wq_b, a.quantised, q);
  rotate(c, step, layer, q, m.index_dim, false);
  if (c.numerics.simulate_index) {
    c.k.hadamard({q, m.index_dim, c.numerics.round_bf16});
    FakeQuantArgs quant;
    quant.x = q;
    quant.kind = FakeQuantArgs::Kind::kE2M1;
    quant.cols = q.cols;
    quant.block = 32;
    quant.out = q;
    c.k.fake_quant(quant);
  }
  linear(c, a.y.slice(0, t), w.weights_proj, a.quantised, a.index_w.slice(0, t));
  const std::vector<PagedRows> keys = paged_rows(c, step, state.index);
  IndexTopKArgs args;
  args.q = q;
  args.w = a.index_w.slice(0, t);
  args.sequence = step.sequence.data();
  args.visible = visible.data();
  args.keys = keys.data();
  args.heads = m.index_heads;
  args.dim = m.index_dim;
  args.top_k = m.index_top_k;
  args.w_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(m.index_dim) * m.index_heads));
  args.round_bf16 = c.numerics.round_bf16;
  args.selected = a.selected.slice(0, t);
  args.count = a.selected_count.data;
  c.k.index_top_k(args);
}

// a.o → a.f through the grouped low-rank output.
void output(const Context& c, const LayerWeights& layer, int t, Activations& a) {
  const Config& m = c.config;
  const int width = m.heads / m.out_groups * m.head_dim;
  for (int g = 0; g < m.out_groups; ++g) {
    // The reference multiplies unquantised activations here (spec 2.4, U9).
    c.k.matmul({a.o.slice(0, t).columns(g * width, width), layer.attn.wo_a[g], 0,
                c.numerics.round_bf16, a.v.slice(0, t).columns(g * m.out_rank, m.out_rank),
                c.numerics.fast_products});
  }
  linear(c, a.v.slice(0, t), layer.attn.wo_b, a.quantised, a.f.slice(0, t));
}

}  // namespace

void finish_window_rows(const Context& c, const StepView& step, const LayerWeights& layer,
                        Mat<float> kv) {
  norm(c, kv, layer.attn.kv_norm);
  rotate(c, step, layer, kv, c.config.head_dim, false);
  if (!c.numerics.simulate_kv) return;
  FakeQuantArgs quant;
  quant.x = kv;
  quant.cols = c.config.head_dim - c.config.rope_dim;
  quant.block = 64;
  quant.out = kv;
  c.k.fake_quant(quant);
}

void window_rows(const Context& c, const StepView& step, const LayerWeights& layer, Activations& a) {
  const int t = step.size();
  const Mat<float> kv = a.kv.slice(0, t);
  linear(c, a.y.slice(0, t), layer.attn.wkv, a.quantised, kv);
  finish_window_rows(c, step, layer, kv);
}

void attention(const Context& c, const StepView& step, const LayerWeights& layer,
               const LayerState& state, int layer_index, Activations& a) {
  const int t = step.size();
  const Config& m = c.config;
  c.stage("query");
  queries(c, step, layer, a);
  window_rows(c, step, layer, a);

  AttendArgs args;
  std::vector<std::int64_t> visible;
  std::vector<PagedRows> pages;
  if (layer.config.attention != AttentionKind::kWindow) {
    visible = visible_rows(step, layer.config.ratio);
    if (layer.attn.indexer) {
      c.stage("indexer");
      compress_step(c, step, layer, layer.attn.indexer->compressor,
                    {state.index_raw, state.index, true}, a.index_raw, a);
      choose(c, step, layer, state, visible, a);
      args.selected = a.selected.slice(0, t);
      args.count = a.selected_count.data;
      if (c.tap && c.tap->ids) {
        c.tap->ids("selected", layer_index, args.selected, {args.count, static_cast<std::size_t>(t)});
      }
    }
    c.stage("compressor");
    compress_step(c, step, layer, *layer.attn.compressor, {state.raw, state.compressed, false}, a.raw, a);
    pages = paged_rows(c, step, state.compressed);
    args.compressed = pages.data();
    args.visible = visible.data();
  }
  c.stage("attend");
  const std::vector<RowHistory> window = ring_history(c, step, state.window, a.kv.slice(0, t));
  args.q = a.q.slice(0, t);
  args.sequence = step.sequence.data();
  args.position = step.position.data();
  args.window_rows = window.data();
  args.window = m.window;
  args.sink = layer.attn.sink;
  args.heads = m.heads;
  args.dim = m.head_dim;
  args.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(m.head_dim)));
  args.list_blocks = c.numerics.list_blocks;
  args.round_probabilities = c.numerics.round_probabilities;
  args.round_bf16 = c.numerics.round_bf16;
  args.fast = c.numerics.fast_products;
  args.out = a.o.slice(0, t);
  c.k.attend(args);
  write_ring(c, step, state.window, a.kv.slice(0, t));
  rotate(c, step, layer, a.o.slice(0, t), m.head_dim, true);
  c.stage("output");
  output(c, layer, t, a);
}

}  // namespace plumb::deepseek_v4
