#include "model/deepseek_v4/model.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "model/deepseek_v4/block.h"
#include "model/deepseek_v4/draft.h"
#include "model/deepseek_v4/draft_head.h"
#include "model/deepseek_v4/fill.h"
#include "model/deepseek_v4/step.h"

namespace plumb::deepseek_v4 {
namespace {

class Model final : public LanguageModel {
 public:
  Model(Config config, StateMap map, Weights weights, Activations scratch, Device& device,
        const LoadOptions& options, std::string fingerprint)
      : config_(std::move(config)), map_(std::move(map)), weights_(std::move(weights)),
        a_(std::move(scratch)), device_(device), host_logits_(config_.vocab) {
    info_.name = config_.model_type;
    info_.fingerprint = std::move(fingerprint);
    info_.numerics = options.numerics;
    info_.numerics.products = device.fast_products();
    info_.vocab = config_.vocab;
    info_.max_positions = config_.max_positions;
    info_.bos = config_.bos;
    info_.eos = config_.eos;
    info_.max_step_tokens = options.max_step_tokens;
    info_.max_scored_rows = options.max_scored_rows;
    info_.max_draft = weights_.draft ? options.max_draft : 0;
  }

  const ModelInfo& info() const override { return info_; }
  const StateLayout& state_layout() const override { return map_.layout; }
  void attach(StatePool& pool) override { pool_ = &pool; }
  void set_tap(Tap tap) override { tap_ = std::move(tap); }

  Result<Mat<const float>> forward(std::span<const BatchItem> batch) override;
  Status draft(std::span<const DraftItem> items, const DraftPick& pick) override;
  Status fill(SequenceState& state, Pos tokens, std::uint64_t seed) override;
  double exercise(int tokens) override;

 private:
  Context context() {
    return {device_.kernels(), device_, config_, info_.numerics, map_, pool_, &tap_};
  }
  int gather_scored(std::span<const BatchItem> batch);

  Config config_;
  ModelInfo info_;
  StateMap map_;
  Weights weights_;
  Activations a_;
  Device& device_;
  StatePool* pool_ = nullptr;
  StepView step_;
  Tap tap_;
  std::vector<float> host_logits_;  // one row, for drafting
};

// The scored tokens' streams, side by side in a_.scored; returns how many.
int Model::gather_scored(std::span<const BatchItem> batch) {
  int rows = 0;
  const std::size_t bytes = a_.streams.cols * sizeof(float);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const StepItem& item = step_.items[i];
    for (int r = item.count - batch[i].scored; r < item.count; ++r) {
      device_.copy(reinterpret_cast<std::byte*>(a_.scored.row(rows++)),
                   reinterpret_cast<const std::byte*>(a_.streams.row(item.first + r)), bytes);
    }
  }
  return rows;
}

Result<Mat<const float>> Model::forward(std::span<const BatchItem> batch) {
  PLUMB_CHECK(pool_ != nullptr);
  step_.clear();
  int scored = 0;
  for (const BatchItem& item : batch) {
    PLUMB_CHECK(item.scored >= 0 && item.scored <= static_cast<int>(item.tokens.size()));
    for (Token token : item.tokens) PLUMB_CHECK(token >= 0 && token < config_.vocab);
    step_.add(item.state, item.tokens, item.state->length());
    scored += item.scored;
  }
  const int t = step_.size();
  PLUMB_CHECK(t > 0 && t <= info_.max_step_tokens && scored <= info_.max_scored_rows);

  const Context c = context();
  c.k.embed({step_.tokens.data(), weights_.embed, config_.hc, a_.streams.slice(0, t)});
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    block(c, step_, weights_.layers[i], map_.layers[i], static_cast<int>(i), a_);
    if (tap_.floats) tap_.floats("streams", static_cast<int>(i), a_.streams.slice(0, t));
  }
  c.stage("head");
  gather_scored(batch);
  if (weights_.draft) draft_catch_up(c, step_, *weights_.draft, weights_, a_);
  const Mat<float> logits = a_.logits.slice(0, scored);
  if (scored > 0) {
    head_input(c, weights_.hc_head, weights_.norm, a_.scored.slice(0, scored), a_.normed.slice(0, scored));
    if (tap_.floats) tap_.floats("norm", -1, a_.normed.slice(0, scored));
    c.k.matmul({a_.normed.slice(0, scored), weights_.head, 0, false, logits,
                info_.numerics.fast_products});
  }
  PLUMB_TRY_STATUS(device_.sync());
  c.stage("");
  return Mat<const float>(logits);
}

Status Model::draft(std::span<const DraftItem> items, const DraftPick& pick) {
  PLUMB_CHECK(pool_ != nullptr && weights_.draft);
  for (const DraftItem& item : items) {
    PLUMB_CHECK(item.count <= info_.max_draft && item.next >= 0 && item.next < config_.vocab);
  }
  PLUMB_CHECK(static_cast<int>(items.size()) <= info_.max_step_tokens);
  draft_tokens(context(), items, *weights_.draft, weights_, pick, host_logits_, a_);
  return device_.sync();
}

Status Model::fill(SequenceState& state, Pos tokens, std::uint64_t seed) {
  PLUMB_CHECK(pool_ != nullptr && state.length() == 0);
  fill_state(context(), weights_, state, tokens, seed, a_);
  return device_.sync();
}

double Model::exercise(int tokens) {
  PLUMB_CHECK(tokens > 0 && tokens <= info_.max_step_tokens);
  const std::vector<Token> same(static_cast<std::size_t>(tokens), config_.bos);
  step_.clear();
  step_.add(nullptr, same, 0);
  random_rows(a_.y.slice(0, 1), 1, 0, 0);
  for (int t = 1; t < tokens; ++t) {
    device_.copy(reinterpret_cast<std::byte*>(a_.y.row(t)),
                 reinterpret_cast<const std::byte*>(a_.y.row(0)), a_.y.cols * sizeof(float));
  }
  Context c = context();
  c.tap = nullptr;
  const int last = static_cast<int>(weights_.layers.size()) - 1;
  feed_forward(c, step_, weights_.layers.back().ffn, last, a_);
  const double experts = config_.experts_per_token + config_.shared_experts;
  return 2.0 * tokens * (3.0 * experts * config_.expert_dim + config_.experts) * config_.dim;
}

bool keeps_draft(const Config& config, const LoadOptions& options) {
  return options.max_draft > 0 && config.mtp_layers > 0;
}

}  // namespace

StateMap state_map(const Config& config, const LoadOptions& options) {
  return map_state(config, options.numerics, options.max_rewind, keeps_draft(config, options));
}

std::size_t scratch_bytes(const Config& config, const LoadOptions& options) {
  const bool draft = keeps_draft(config, options);
  const std::size_t head =
      draft && options.quick_drafts ? draft_head_bytes(config.vocab, config.dim) : 0;
  return head + Activations::bytes(config, options.max_step_tokens, options.max_scored_rows, draft);
}

Result<std::unique_ptr<LanguageModel>> load(const WeightStore& store, const Config& config,
                                            Device& device, const LoadOptions& options) {
  PLUMB_CHECK(options.max_rewind >= options.max_draft && options.max_step_tokens > 0 &&
              options.max_scored_rows > 0);
  if (options.max_draft > 0 && config.mtp_layers == 0) {
    return Error{Code::kUnsupported,
                 "Drafting was asked for, but the checkpoint has no MTP block "
                 "(num_nextn_predict_layers is 0)."};
  }
  const bool draft = keeps_draft(config, options);
  PLUMB_TRY(weights, bind(store, config, device, draft, options.quick_drafts, options.progress));
  PLUMB_TRY(scratch, Activations::create(device, config, options.max_step_tokens,
                                         options.max_scored_rows, draft));
  return std::unique_ptr<LanguageModel>(
      std::make_unique<Model>(config, state_map(config, options), std::move(weights),
                              std::move(scratch), device, options, store.identity()));
}

}  // namespace plumb::deepseek_v4
