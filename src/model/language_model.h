// The engine's whole view of a model. Tests give it a fake.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"
#include "cache/state_pool.h"
#include "tensor/numerics.h"
#include "tensor/tensor.h"

namespace plumb {

struct ModelInfo {
  std::string name;         // "deepseek_v4"
  std::string fingerprint;  // of the weights' identity
  Numerics numerics;
  int vocab = 0;
  Pos max_positions = 0;
  Token bos = 0, eos = 1;
  int max_step_tokens = 0;  // of one forward, all items together
  int max_scored_rows = 0;  // of one forward, all items together
  int max_draft = 0;        // 0: no draft head
};

struct BatchItem {
  SequenceState* state = nullptr;   // room for `tokens` is reserved; forward does not advance it
  std::span<const Token> tokens;    // positions state->length() ...
  int scored = 0;                   // trailing tokens to score: 0 .. tokens.size()
};

// A sequence to draft for: everything before `next` is in the state (advanced).
struct DraftItem {
  SequenceState* state = nullptr;
  Token next = 0;  // the token sampled last, not yet in the state
  int count = 0;   // draft tokens wanted, <= max_draft
};

// Chooses draft token `step` of item `item` from its logits [vocab].
using DraftPick = std::function<Token(int item, int step, std::span<const float> logits)>;

// Shows intermediate results to tests and dumps: the name says what ("streams", "selected",
// "experts", "norm"), layer -1 is outside the trunk's layers. Floats [tokens of the step, ...].
struct Tap {
  std::function<void(std::string_view name, int layer, Mat<const float> value)> floats;
  std::function<void(std::string_view name, int layer, Mat<const std::int32_t> value,
                     std::span<const std::int32_t> count)> ids;
  // A stage of the forward pass begins: "mhc", "query", "indexer", "compressor", "attend", "output",
  // "router", "experts", "head"; "" at the end. The name is a literal.
  std::function<void(std::string_view name)> stage;
  // The experts that this pass's tokens go to in a layer, [t, k], instead of those that its router would
  // choose; empty: the router's. Valid until the next call. For measurements.
  std::function<std::span<const std::int64_t>(int layer)> experts;
};

// Owned by the engine thread.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual const ModelInfo& info() const = 0;
  virtual const StateLayout& state_layout() const = 0;

  // Tells the model whose pages the states of later calls live in. Once, before the first forward.
  virtual void attach(StatePool& pool) = 0;

  // One pass over every item. Rows of the result [scored rows, vocab] follow the order of the items'
  // scored tokens and stay valid until the next call. The logits of a sequence depend on its tokens
  // only, not on the batch, the cut into calls, or the number of threads. An error is fatal for the
  // engine: the states are undefined.
  virtual Result<Mat<const float>> forward(std::span<const BatchItem> batch) = 0;

  // Drafts by the model's own draft head, calling `pick` for each token. Never changes what later
  // forwards compute.
  virtual Status draft(std::span<const DraftItem> items, const DraftPick& pick) = 0;

  // These tokens will be asked for soon: a chance to fetch rows or experts. May do nothing.
  virtual void hint(std::span<const Token> tokens) { static_cast<void>(tokens); }

  virtual void set_tap(Tap tap) = 0;  // empty functions: none

  // For measuring. Writes random rows that these numerics could have stored, as if an empty sequence
  // had been read `tokens` tokens; room is reserved, the caller advances. The same seed gives the
  // same rows.
  virtual Status fill(SequenceState& state, Pos tokens, std::uint64_t seed) {
    static_cast<void>(state), static_cast<void>(tokens), static_cast<void>(seed);
    return Error{Code::kUnsupported, "The model " + info().name + " cannot fill a state."};
  }
  // For measuring. Puts `tokens` equal tokens through the experts of one layer, whose weights stay
  // in the caches when this is repeated; returns the multiplications and additions. 0: it cannot.
  virtual double exercise(int tokens) { return static_cast<void>(tokens), 0.0; }
};

}  // namespace plumb
