#include "model/deepseek_v4/step.h"

#include <algorithm>

#include "base/check.h"

namespace plumb::deepseek_v4 {

void StepView::add(SequenceState* state, std::span<const Token> more, Pos start) {
  const int index = static_cast<int>(items.size());
  items.push_back({state, size(), static_cast<int>(more.size()), start});
  for (std::size_t i = 0; i < more.size(); ++i) {
    tokens.push_back(more[i]);
    sequence.push_back(index);
    position.push_back(start + static_cast<Pos>(i));
  }
}

void StepView::clear() {
  items.clear();
  tokens.clear();
  sequence.clear();
  position.clear();
}

template <class Each>
void Activations::for_each(const Config& c, int t, int max_scored, bool draft, Each each) {
  const int hcd = c.hc * c.dim;
  const int widest = std::max({c.dim, c.q_rank, c.out_groups * c.out_rank, c.expert_dim});
  const auto visit = [&](auto& mat, int rows, int cols) { each(mat, rows, cols, cols); };
  // A line of the cache more than the columns: rows whose distance is a power of two would all fall
  // into the same few sets of it.
  const auto apart = [&](auto& mat, int rows, int cols) { each(mat, rows, cols, cols + 16); };
  apart(streams, t, hcd);
  apart(y, t, c.dim);
  apart(f, t, c.dim);
  visit(post, t, c.hc);
  visit(comb, t, c.hc * c.hc);
  visit(quantised, t * (draft ? c.hc : 1), widest);
  apart(qr, t, c.q_rank);
  apart(q, t, c.heads * c.head_dim);
  visit(kv, t, c.head_dim);
  visit(raw, t, 4 * c.head_dim);
  visit(index_raw, t, 4 * c.index_dim);
  visit(entry, t, std::max(c.head_dim, c.index_dim));
  apart(index_q, t, c.index_heads * c.index_dim);
  visit(index_w, t, c.index_heads);
  visit(selected, t, std::max(c.index_top_k, 1));
  visit(selected_count, t, 1);
  apart(o, t, c.heads * c.head_dim);
  apart(v, t, c.out_groups * c.out_rank);
  visit(expert, t, c.experts_per_token);
  visit(expert_weight, t, c.experts_per_token);
  visit(scored, max_scored, hcd);
  visit(normed, max_scored, c.dim);
  visit(logits, max_scored, c.vocab);
  if (!draft) return;
  visit(hidden, t, hcd);
  visit(projected, t, hcd);
  visit(ones, t, c.hc);
  visit(identity, t, c.hc * c.hc);
}

std::size_t Activations::bytes(const Config& config, int max_tokens, int max_scored, bool draft) {
  std::size_t total = 0;
  Activations a;
  a.for_each(config, max_tokens, max_scored, draft, [&](auto&, int rows, int, int stride) {
    total += (static_cast<std::size_t>(rows) * stride * 4 + 127) / 128 * 128;
  });
  return total;
}

Result<Activations> Activations::create(Device& device, const Config& config, int max_tokens,
                                        int max_scored, bool draft) {
  PLUMB_TRY(memory, device.allocate(bytes(config, max_tokens, max_scored, draft)));
  Activations a;
  std::byte* at = memory.data();
  a.for_each(config, max_tokens, max_scored, draft, [&]<class T>(Mat<T>& mat, int rows, int cols, int stride) {
    mat = {reinterpret_cast<T*>(at), rows, cols, stride};
    at += (static_cast<std::size_t>(rows) * stride * 4 + 127) / 128 * 128;
  });
  a.memory_ = std::move(memory);
  if (draft) {
    std::vector<float> ones(static_cast<std::size_t>(max_tokens) * config.hc, 1.0f);
    device.upload(reinterpret_cast<std::byte*>(a.ones.data), std::as_bytes(std::span(ones)));
    const int square = config.hc * config.hc;
    std::vector<float> identity(static_cast<std::size_t>(max_tokens) * square, 0.0f);
    for (int t = 0; t < max_tokens; ++t) {
      for (int j = 0; j < config.hc; ++j) identity[t * square + j * config.hc + j] = 1.0f;
    }
    device.upload(reinterpret_cast<std::byte*>(a.identity.data), std::as_bytes(std::span(identity)));
  }
  return a;
}

std::vector<RowHistory> ring_history(const Context& c, const StepView& step, int ring,
                                     Mat<const float> fresh) {
  std::vector<RowHistory> rows;
  const std::size_t offset = c.map.layout.tail_offset(ring);
  for (const StepItem& item : step.items) {
    RowHistory r;
    r.ring = reinterpret_cast<const float*>(item.state->tail() + offset);
    r.ring_rows = c.map.layout.tail[ring].capacity;
    r.fresh = fresh.row(item.first);
    r.start = item.start;
    rows.push_back(r);
  }
  return rows;
}

void write_ring(const Context& c, const StepView& step, int ring, Mat<const float> fresh) {
  const TailRing& spec = c.map.layout.tail[ring];
  const std::size_t bytes = spec.bytes_per_row;
  PLUMB_CHECK(bytes == fresh.cols * sizeof(float));
  const std::size_t offset = c.map.layout.tail_offset(ring);
  for (const StepItem& item : step.items) {
    std::byte* base = item.state->tail() + offset;
    for (int i = std::max(0, item.count - spec.capacity); i < item.count; ++i) {
      const Pos slot = (item.start + i) % spec.capacity;
      c.device.copy(base + slot * bytes, reinterpret_cast<const std::byte*>(fresh.row(item.first + i)),
                    bytes);
    }
  }
}

std::vector<PagedRows> paged_rows(const Context& c, const StepView& step, int stream) {
  std::vector<PagedRows> pages;
  for (const StepItem& item : step.items) {
    PagedRows p;
    p.base = c.pool->stream_base(stream);
    p.page_table = item.state->pages().data();
    p.rows_per_page = c.pool->rows_per_page(stream);
    p.page_stride = c.pool->stream_page_stride(stream);
    p.format = c.map.formats[static_cast<std::size_t>(stream)];
    pages.push_back(p);
  }
  return pages;
}

int k_block(const Context& c, const WeightView& w) {
  const bool scaled = w.format.scale != ScaleType::kNone;
  return c.numerics.block_partials && scaled ? w.format.block_cols : 0;
}

Mat<const float> linear_input(const Context& c, Mat<const float> x, const WeightView& w,
                              Mat<float> scratch) {
  if (!c.numerics.quantise_inputs || w.format.scale == ScaleType::kNone) return x;
  FakeQuantArgs quant;
  quant.x = x;
  quant.cols = x.cols;
  quant.out = Mat<float>::dense(scratch.data, x.rows, x.cols);
  c.k.fake_quant(quant);
  return quant.out;
}

void linear(const Context& c, Mat<const float> x, const WeightView& w, Mat<float> scratch,
            Mat<float> out) {
  MatMulArgs args;
  args.x = linear_input(c, x, w, scratch);
  args.w = w;
  args.k_block = k_block(c, w);
  args.round_bf16 = c.numerics.round_bf16;
  args.out = out;
  args.fast = c.numerics.fast_products;
  c.k.matmul(args);
}

void norm(const Context& c, Mat<float> x, const float* gain) {
  RmsNormArgs args;
  args.x = x;
  args.gain = gain;
  args.eps = c.config.norm_eps;
  args.round_bf16 = c.numerics.round_bf16;
  args.out = x;
  c.k.rms_norm(args);
}

}  // namespace plumb::deepseek_v4
