// A model whose logits are a hash of the whole token prefix, kept in pages and ring like a real
// model's state: a cache that mixes up a single row changes every later logit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/state_pool.h"
#include "device/device.h"
#include "model/language_model.h"

namespace plumb {

struct FakeModelOptions {
  int vocab = 50;
  Pos max_positions = 4096;
  int page_tokens = 16;
  int max_step_tokens = 64;
  int max_scored_rows = 32;
  int max_draft = 4;
  Token nan_after = -1;      // a sequence that holds this token gets NaN logits from there on
  int fail_at_forward = -1;  // this call of forward() fails, and all later ones
};

// Its draft head is right about two times in three.
class FakeModel final : public LanguageModel {
 public:
  explicit FakeModel(const FakeModelOptions& options);

  const ModelInfo& info() const override { return info_; }
  const StateLayout& state_layout() const override { return layout_; }
  void attach(StatePool& pool) override { pool_ = &pool; }
  Result<Mat<const float>> forward(std::span<const BatchItem> batch) override;
  Status draft(std::span<const DraftItem> items, const DraftPick& pick) override;
  void set_tap(Tap) override {}

  int forwards() const { return forwards_; }
  std::uint64_t tokens() const { return tokens_; }  // computed so far

  // The logits behind a prefix, without any state: the truth to compare with.
  std::vector<float> logits_after(std::span<const Token> prefix) const;

 private:
  class View;
  void fill_logits(std::uint64_t hash, bool bad, std::span<float> out) const;

  FakeModelOptions options_;
  ModelInfo info_;
  StateLayout layout_;
  StatePool* pool_ = nullptr;
  std::vector<float> logits_;
  int forwards_ = 0;
  std::uint64_t tokens_ = 0;
};

// A fake model with its device and pool, attached.
struct FakeStack {
  FakeStack(const FakeModelOptions& model_options, const PoolOptions& pool_options);
  std::unique_ptr<Device> device;
  std::unique_ptr<FakeModel> model;
  std::unique_ptr<StatePool> pool;
};

}  // namespace plumb
