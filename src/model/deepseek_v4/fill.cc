#include "model/deepseek_v4/fill.h"

#include <algorithm>
#include <vector>

#include "model/deepseek_v4/attention.h"
#include "model/deepseek_v4/compressor.h"

namespace plumb::deepseek_v4 {
namespace {

// Well mixed bits of a number (the finaliser of SplitMix64): a few instructions, where the random
// numbers of a long state would otherwise take longer than the state.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// Random numbers of one state: every ring and stream draws from its own sequence.
class Filler {
 public:
  Filler(const Context& c, SequenceState& state, Pos tokens, std::uint64_t seed, Activations& a)
      : c_(c), state_(state), tokens_(tokens), seed_(seed), a_(a) {}

  void layer(const LayerWeights& w, const LayerState& s) {
    window(w, s.window);
    if (w.attn.indexer) {
      raw(s.index_raw, a_.index_raw);
      entries(w, w.attn.indexer->compressor, {s.index_raw, s.index, true});
    }
    if (w.attn.compressor) {
      raw(s.raw, a_.raw);
      entries(w, *w.attn.compressor, {s.raw, s.compressed, false});
    }
  }

  // The last rows of ring `ring`, made in pieces of a step by `make(step, rows)`.
  template <class Make>
  void ring(int ring, Mat<float> scratch, int width, Make&& make) {
    const TailRing& spec = c_.map.layout.tail[static_cast<std::size_t>(ring)];
    const std::uint64_t stream = streams_++;
    for (Pos at = std::max<Pos>(0, tokens_ - spec.capacity); at < tokens_;) {
      const int count = static_cast<int>(std::min<Pos>(tokens_ - at, scratch.rows));
      const std::vector<Token> nobody(static_cast<std::size_t>(count));
      StepView step;
      step.add(&state_, nobody, at);
      const Mat<float> rows = Mat<float>::dense(scratch.data, count, width);
      random_rows(rows, seed_, stream, at);
      make(step, rows);
      write_ring(c_, step, ring, rows);
      at += count;
    }
  }
  void raw(int index, Mat<float> scratch) {
    ring(index, scratch, ring_width(index), [](const StepView&, Mat<float>) {});
  }
  void window(const LayerWeights& w, int index) {
    ring(index, a_.kv, c_.config.head_dim,
         [&](const StepView& step, Mat<float> rows) { finish_window_rows(c_, step, w, rows); });
  }

 private:
  int ring_width(int ring) const {
    return c_.map.layout.tail[static_cast<std::size_t>(ring)].bytes_per_row /
           static_cast<int>(sizeof(float));
  }

  void entries(const LayerWeights& layer, const CompressorWeights& w,
               const CompressorPlace& place) {
    const Pos total = tokens_ / layer.config.ratio;
    const std::uint64_t stream = streams_++;
    StepView step;
    step.add(&state_, {}, 0);
    for (Pos first = 0; first < total;) {
      const int count = static_cast<int>(std::min<Pos>(total - first, a_.entry.rows));
      EntryPlaces places;
      for (Pos i = first; i < first + count; ++i) {
        places.sequence.push_back(0);
        places.index.push_back(i);
        places.position.push_back(i * layer.config.ratio);
      }
      const Mat<float> rows = Mat<float>::dense(a_.entry.data, count, w.dim);
      random_rows(rows, seed_, stream, first);
      store_entries(c_, step, layer, w, place, places, rows);
      first += count;
    }
  }

  const Context& c_;
  SequenceState& state_;
  const Pos tokens_;
  const std::uint64_t seed_;
  Activations& a_;
  std::uint64_t streams_ = 0;
};

}  // namespace

void random_rows(Mat<float> x, std::uint64_t seed, std::uint64_t stream, Pos first) {
  constexpr float kWidth = 3.4641016F;  // of a uniform distribution with deviation 1
  const std::uint64_t key = mix(mix(seed + 0x9E3779B97F4A7C15) ^ stream);
  for (int r = 0; r < x.rows; ++r) {
    float* row = x.row(r);
    const std::uint64_t base =
        key + static_cast<std::uint64_t>(first + r) * static_cast<std::uint64_t>(x.cols);
    for (int i = 0; i < x.cols; ++i) {
      const std::uint64_t bits = mix((base + static_cast<std::uint64_t>(i)) * 0x9E3779B97F4A7C15);
      row[i] = (static_cast<float>(bits >> 40) * 0x1p-24F - 0.5F) * kWidth;
    }
  }
}

void fill_state(const Context& c, const Weights& w, SequenceState& state, Pos tokens,
                std::uint64_t seed, Activations& a) {
  Filler filler(c, state, tokens, seed, a);
  for (std::size_t i = 0; i < w.layers.size(); ++i) filler.layer(w.layers[i], c.map.layers[i]);
  if (!w.draft) return;
  filler.window(w.draft->layer, c.map.draft.window);
  filler.raw(c.map.draft_hidden, a.hidden);
}

}  // namespace plumb::deepseek_v4
