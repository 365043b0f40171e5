#include "model/deepseek_v4/draft.h"

#include <algorithm>

#include "base/check.h"
#include "model/deepseek_v4/attention.h"
#include "model/deepseek_v4/block.h"

namespace plumb::deepseek_v4 {
namespace {

void copy_row(const Context& c, const float* from, float* to, int width) {
  c.device.copy(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from),
                width * sizeof(float));
}

// Where the streams of position p wait for token p + 1.
float* hidden_row(const Context& c, const SequenceState& state, Pos p) {
  const TailRing& ring = c.map.layout.tail[c.map.draft_hidden];
  std::byte* base = state.tail() + c.map.layout.tail_offset(c.map.draft_hidden);
  return reinterpret_cast<float*>(base + (p % ring.capacity) * ring.bytes_per_row);
}

}  // namespace

void draft_input(const Context& c, const StepView& step, const DraftWeights& w, const Weights& all,
                 Activations& a) {
  const int t = step.size();
  const Config& m = c.config;
  c.k.embed({step.tokens.data(), all.embed, 1, a.y.slice(0, t)});
  norm(c, a.y.slice(0, t), w.enorm);
  linear(c, a.y.slice(0, t), w.e_proj, a.quantised, a.f.slice(0, t));
  const Mat<float> h = Mat<float>::dense(a.hidden.data, t * m.hc, m.dim);
  norm(c, h, w.hnorm);
  linear(c, h, w.h_proj, a.quantised, Mat<float>::dense(a.projected.data, t * m.hc, m.dim));
  // Z[j] = 1 * e + sum_j I[j][k] H'[j]: an addition, in the words of the mHC kernel.
  HyperPostArgs add;
  add.f = a.f.slice(0, t);
  add.streams = a.projected.slice(0, t);
  add.post = a.ones.slice(0, t);
  add.comb = a.identity.slice(0, t);
  add.hc = m.hc;
  add.round_bf16 = c.numerics.round_bf16;
  add.out = a.streams.slice(0, t);
  c.k.hyper_post(add);
}

void draft_catch_up(const Context& c, const StepView& step, const DraftWeights& w, const Weights& all,
                    Activations& a) {
  const int width = c.config.hc * c.config.dim;
  const int useful = c.map.layout.tail[c.map.draft.window].capacity;
  StepView pairs;
  std::vector<const float*> hidden;
  for (const StepItem& item : step.items) {
    // Pairs (H_p, token p + 1) for p = start - 1 .. start + count - 2; only the last matter.
    const Pos last = item.start + item.count - 2;
    const Pos first = std::max<Pos>({item.start - 1, last - useful + 1, 0});
    if (last < first) continue;
    const int offset = static_cast<int>(first + 1 - item.start);  // of token first + 1 in the item
    pairs.add(item.state,
              std::span(step.tokens).subspan(item.first + offset, static_cast<std::size_t>(last - first + 1)),
              first);
    for (Pos p = first; p <= last; ++p) {
      hidden.push_back(p < item.start ? hidden_row(c, *item.state, p)
                                      : a.streams.row(item.first + static_cast<int>(p - item.start)));
    }
  }
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    copy_row(c, hidden[i], a.hidden.row(static_cast<int>(i)), width);
  }
  const int keep = c.map.layout.tail[c.map.draft_hidden].capacity;
  for (const StepItem& item : step.items) {
    for (int i = std::max(0, item.count - keep); i < item.count; ++i) {
      copy_row(c, a.streams.row(item.first + i), hidden_row(c, *item.state, item.start + i), width);
    }
  }
  if (pairs.size() == 0) return;
  draft_input(c, pairs, w, all, a);
  mix_and_norm(c, w.layer.hc_attn, w.layer.attn_norm, pairs.size(), a);
  window_rows(c, pairs, w.layer, a);
  write_ring(c, pairs, c.map.draft.window, a.kv.slice(0, pairs.size()));
}

void draft_tokens(const Context& c, std::span<const DraftItem> items, const DraftWeights& w,
                  const Weights& all, const DraftPick& pick, std::vector<float>& host_logits,
                  Activations& a) {
  const int width = c.config.hc * c.config.dim;
  std::vector<Token> next(items.size());
  int steps = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    next[i] = items[i].next;
    steps = std::max(steps, items[i].count);
  }
  std::vector<int> previous_row(items.size(), -1);
  for (int s = 0; s < steps; ++s) {
    StepView view;
    std::vector<int> who;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const DraftItem& item = items[i];
      if (s >= item.count) continue;
      const int row = view.size();
      const Pos p = item.state->length() - 1 + s;
      PLUMB_CHECK(p >= 0);
      // The block's own output takes the trunk's place when it is chained (row <= previous row).
      copy_row(c, s == 0 ? hidden_row(c, *item.state, p) : a.streams.row(previous_row[i]),
               a.hidden.row(row), width);
      view.add(item.state, {&next[i], 1}, p);
      previous_row[i] = row;
      who.push_back(static_cast<int>(i));
    }
    draft_input(c, view, w, all, a);
    block(c, view, w.layer, c.map.draft, -2, a);
    const int t = view.size();
    for (int first = 0; first < t; first += a.logits.rows) {
      const int count = std::min(a.logits.rows, t - first);
      head_input(c, w.hc_head, w.norm, a.streams.slice(first, count), a.normed.slice(0, count));
      c.k.matmul({a.normed.slice(0, count), w.head, 0, false, a.logits.slice(0, count),
                  c.numerics.fast_products});
      for (int r = 0; r < count; ++r) {
        c.device.download(std::as_writable_bytes(std::span(host_logits)),
                          reinterpret_cast<const std::byte*>(a.logits.row(r)));
        const int i = who[first + r];
        next[i] = pick(i, s, host_logits);
      }
    }
  }
}

}  // namespace plumb::deepseek_v4
