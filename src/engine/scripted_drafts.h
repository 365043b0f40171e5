// Drafts that are right as often as one likes, at the price of real ones: for benchmarks and tests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/language_model.h"

namespace plumb {

// A model whose draft head knows the answers: it runs and takes its time, then says the token that
// comes next with probability `right`, another one else. Answers are recorded beforehand, from a
// run without drafts; a sequence that continues no recorded text gets the model's own drafts.
// Whether the draft of a position is right is a function of (seed, text, position). Owned like the
// model it borrows.
class ScriptedDrafts final : public LanguageModel {
 public:
  ScriptedDrafts(LanguageModel& model, double right, std::uint64_t seed)
      : model_(model), right_(right), seed_(seed) {}

  void record(std::span<const Token> text);  // a prompt and its answer
  void set_right(double right) { right_ = right; }

  const ModelInfo& info() const override { return model_.info(); }
  const StateLayout& state_layout() const override { return model_.state_layout(); }
  void attach(StatePool& pool) override { model_.attach(pool); }
  Result<Mat<const float>> forward(std::span<const BatchItem> batch) override {
    return model_.forward(batch);
  }
  Status draft(std::span<const DraftItem> items, const DraftPick& pick) override;
  void hint(std::span<const Token> tokens) override { model_.hint(tokens); }
  void set_tap(Tap tap) override { model_.set_tap(std::move(tap)); }

 private:
  const std::vector<Token>* text_of(const DraftItem& item) const;

  LanguageModel& model_;
  double right_;
  std::uint64_t seed_;
  std::vector<std::vector<Token>> texts_;
};

}  // namespace plumb
