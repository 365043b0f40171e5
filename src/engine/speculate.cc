#include "engine/speculate.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace plumb {

TokenChooser::TokenChooser(const SamplingParams& params, std::span<const Token> prompt,
                           TokenFilter* filter, int vocab)
    : params_(params), filter_(filter) {
  for (const Token token : prompt) history_.add_prompt(token);
  if (filter_) allowed_.resize((static_cast<std::size_t>(vocab) + 63) / 64);
}

Result<Sampled> TokenChooser::choose(Sampler& sampler, std::span<const float> logits,
                                     Pos position) {
  if (filter_) {
    std::fill(allowed_.begin(), allowed_.end(), ~std::uint64_t{0});
    filter_->bitmask(allowed_);
  }
  return sampler.sample(logits, params_, position, history_, allowed_);
}

void TokenChooser::accept(Token token) {
  history_.push(token);
  accepted_.push_back(token);
  if (filter_) filter_->accept(token);
}

void TokenChooser::rollback(int tokens) {
  PLUMB_CHECK(tokens >= 0 && static_cast<std::size_t>(tokens) <= accepted_.size());
  if (filter_ && tokens > 0) filter_->rollback(tokens);
  for (int i = 0; i < tokens; ++i) {
    history_.pop(accepted_.back());
    accepted_.pop_back();
  }
}

Result<Verdict> verify(TokenChooser& chooser, Sampler& sampler, Mat<const float> rows,
                       std::span<const Token> drafts, Pos position,
                       std::span<const Token> stop_tokens) {
  PLUMB_CHECK(rows.rows == static_cast<int>(drafts.size()) + 1);
  Verdict verdict;
  for (int row = 0;; ++row) {
    PLUMB_TRY(sampled, chooser.choose(sampler, rows.span(row), position + row));
    const Token token = sampled.token;
    verdict.tokens.push_back(std::move(sampled));
    if (std::find(stop_tokens.begin(), stop_tokens.end(), token) != stop_tokens.end()) {
      verdict.stopped = true;
      return verdict;
    }
    chooser.accept(token);
    if (row + 1 == rows.rows || drafts[static_cast<std::size_t>(row)] != token) return verdict;
    ++verdict.matched;
  }
}

}  // namespace plumb
