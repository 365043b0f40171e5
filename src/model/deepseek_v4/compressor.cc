#include "model/deepseek_v4/compressor.h"

#include "base/check.h"

namespace plumb::deepseek_v4 {
namespace {

// Norm, rotation at the group's first token, and the storage simulation, in place.
void finish_entries(const Context& c, const LayerWeights& layer, const CompressorWeights& w,
                    std::span<const std::int64_t> position, bool for_index, Mat<float> entry) {
  const Numerics& n = c.numerics;
  norm(c, entry, w.norm);

  RopeArgs rope;
  rope.x = entry;
  rope.position = position.data();
  rope.freq = layer.freq;
  rope.head_dim = w.dim;
  rope.rope_dim = c.config.rope_dim;
  rope.round_bf16 = n.round_bf16;
  c.k.rope(rope);

  FakeQuantArgs quant;
  quant.x = entry;
  quant.out = entry;
  if (for_index && n.simulate_index) {
    c.k.hadamard({entry, w.dim, n.round_bf16});
    quant.kind = FakeQuantArgs::Kind::kE2M1;
    quant.cols = w.dim;
    quant.block = 32;
    c.k.fake_quant(quant);
  } else if (!for_index && n.simulate_kv) {
    quant.cols = w.dim - c.config.rope_dim;
    quant.block = 64;
    c.k.fake_quant(quant);
  }
}

}  // namespace

std::vector<std::int64_t> visible_rows(const StepView& step, int ratio) {
  std::vector<std::int64_t> visible(step.position.size());
  for (std::size_t t = 0; t < visible.size(); ++t) visible[t] = (step.position[t] + 1) / ratio;
  return visible;
}

void store_entries(const Context& c, const StepView& step, const LayerWeights& layer,
                   const CompressorWeights& w, const CompressorPlace& place,
                   const EntryPlaces& places, Mat<float> entry) {
  finish_entries(c, layer, w, places.position, place.for_index, entry);
  const std::vector<PagedRows> pages = paged_rows(c, step, place.stream);
  c.k.store_rows({entry, places.sequence.data(), places.index.data(), pages.data()});
}

void compress_step(const Context& c, const StepView& step, const LayerWeights& layer,
                   const CompressorWeights& w, const CompressorPlace& place, Mat<float> raw,
                   Activations& a) {
  const int t = step.size();
  const int ratio = layer.config.ratio;
  const int half = w.wkv.rows;  // c * D
  raw = Mat<float>::dense(raw.data, t, 2 * half);
  const Mat<const float> y = a.y.slice(0, t);
  c.k.matmul({y, w.wkv, 0, false, raw.columns(0, half), c.numerics.fast_products});
  c.k.matmul({y, w.wgate, 0, false, raw.columns(half, half), c.numerics.fast_products});

  std::vector<CompressArgs::Entry> entries;
  EntryPlaces places;
  for (std::size_t s = 0; s < step.items.size(); ++s) {
    const StepItem& item = step.items[s];
    for (Pos i = item.start / ratio; i < (item.start + item.count) / ratio; ++i) {
      entries.push_back({static_cast<std::int32_t>(s), i});
      places.sequence.push_back(static_cast<std::int32_t>(s));
      places.index.push_back(i);
      places.position.push_back(i * ratio);
    }
  }
  if (!entries.empty()) {
    const std::vector<RowHistory> history = ring_history(c, step, place.raw_ring, raw);
    const int count = static_cast<int>(entries.size());
    PLUMB_CHECK(count <= t);
    const Mat<float> entry = Mat<float>::dense(a.entry.data, count, w.dim);
    CompressArgs mix;
    mix.history = history.data();
    mix.entries = entries;
    mix.ape = w.ape;
    mix.ratio = ratio;
    mix.overlap = layer.config.attention == AttentionKind::kSparse;
    mix.dim = w.dim;
    mix.round_bf16 = c.numerics.round_bf16;
    mix.out = entry;
    c.k.compress(mix);
    store_entries(c, step, layer, w, place, places, entry);
  }
  write_ring(c, step, place.raw_ring, raw);
}

}  // namespace plumb::deepseek_v4
