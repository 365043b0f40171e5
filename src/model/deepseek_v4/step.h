// One forward pass: who is in it, where their rows are, and the memory it works in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "cache/state_pool.h"
#include "device/device.h"
#include "device/kernels.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/state.h"
#include "model/language_model.h"

namespace plumb::deepseek_v4 {

// A sequence's share of the step: `count` tokens from row `first`, at positions start ...
struct StepItem {
  SequenceState* state = nullptr;
  int first = 0;
  int count = 0;
  Pos start = 0;
};

// Metadata of one step, built once and read by all layers. Token rows of all items follow each other.
struct StepView {
  std::vector<StepItem> items;
  std::vector<Token> tokens;            // [t]
  std::vector<std::int32_t> sequence;   // [t], index into items
  std::vector<std::int64_t> position;   // [t]

  int size() const { return static_cast<int>(tokens.size()); }
  void add(SequenceState* state, std::span<const Token> more, Pos start);
  void clear();
};

// Scratch of a step for at most max_tokens rows, allocated once at load; t rows are used at a time.
// Names are the paper's; see docs/MODEL.md.
struct Activations {
  Mat<float> streams;         // [t, hc * d]: X
  Mat<float> y;               // [t, d]: a sublayer's input
  Mat<float> f;               // [t, d]: a sublayer's output
  Mat<float> post, comb;      // [t, hc], [t, hc * hc]
  Mat<float> quantised;       // [t, widest linear input]
  Mat<float> qr, q;           // [t, q_rank], [t, heads * head_dim]
  Mat<float> kv;              // [t, head_dim]
  Mat<float> raw, index_raw;  // [t, compressor rows P | G]
  Mat<float> entry;           // [rows finished in this step, head_dim or index_dim]
  Mat<float> index_q, index_w;      // [t, index_heads * index_dim], [t, index_heads]
  Mat<std::int32_t> selected;       // [t, index_top_k]
  Mat<std::int32_t> selected_count; // [t, 1]
  Mat<float> o;               // [t, heads * head_dim]
  Mat<float> v;               // [t, groups * out_rank]
  Mat<std::int32_t> expert;   // [t, k]
  Mat<float> expert_weight;   // [t, k]
  Mat<float> scored;          // [scored rows, hc * d]
  Mat<float> normed;          // [scored rows, d]
  Mat<float> logits;          // [scored rows, vocab]
  Mat<float> hidden;          // [t, hc * d]: trunk streams paired with their next tokens (draft)
  Mat<float> projected;       // [t, hc * d]: h_proj of them
  Mat<float> ones, identity;  // [t, hc], [t, hc * hc]: constants for a plain addition of streams

  static Result<Activations> create(Device& device, const Config& config, int max_tokens,
                                    int max_scored, bool draft);
  // Bytes that create() takes.
  static std::size_t bytes(const Config& config, int max_tokens, int max_scored, bool draft);

 private:
  // each(mat, rows, cols, stride)
  template <class Each>
  void for_each(const Config& config, int max_tokens, int max_scored, bool draft, Each each);
  Buffer memory_;
};

// Everything a sublayer needs besides its weights.
struct Context {
  Kernels& k;
  Device& device;
  const Config& config;
  const Numerics& numerics;
  const StateMap& map;
  StatePool* pool = nullptr;
  const Tap* tap = nullptr;

  // Tells who listens that a stage of the step begins.
  void stage(std::string_view name) const {
    if (tap != nullptr && tap->stage) tap->stage(name);
  }
};

// The rows of one ring as kernels see them: what is kept, and this step's rows beside it.
std::vector<RowHistory> ring_history(const Context& c, const StepView& step, int ring,
                                     Mat<const float> fresh);
// After the layer used them: this step's rows take their places in the ring.
void write_ring(const Context& c, const StepView& step, int ring, Mat<const float> fresh);
// The pages of one stream, per item.
std::vector<PagedRows> paged_rows(const Context& c, const StepView& step, int stream);

// `x` as the linear `w` wants it: quantised to FP8 and back where the numerics ask for it.
Mat<const float> linear_input(const Context& c, Mat<const float> x, const WeightView& w,
                              Mat<float> scratch);
// Columns of one partial sum of `w` under these numerics; 0: one chain.
int k_block(const Context& c, const WeightView& w);
// out = w x, with the roundings of a reference linear.
void linear(const Context& c, Mat<const float> x, const WeightView& w, Mat<float> scratch,
            Mat<float> out);

// x = rms_norm(x) * gain, row by row, in place.
void norm(const Context& c, Mat<float> x, const float* gain);

}  // namespace plumb::deepseek_v4
