// Drafted tokens: chosen on trial, verified by the target's own draws.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "tensor/tensor.h"

namespace plumb {

// Chooses the tokens of one sequence, whoever proposes the logits. The token at a position is drawn
// with the same (seed, position), penalties and filter from draft logits and from the target's; a
// draft counts iff the target's own draw is the same token. So speculation cannot change an answer.
// Thread-compatible.
class TokenChooser {
 public:
  // `filter` may be null and must outlive this.
  TokenChooser(const SamplingParams& params, std::span<const Token> prompt, TokenFilter* filter,
               int vocab);

  // The draw for `position`, given all accepted tokens. Changes nothing.
  Result<Sampled> choose(Sampler& sampler, std::span<const float> logits, Pos position);
  void accept(Token token);
  void rollback(int tokens);  // takes back the last accepted ones

 private:
  const SamplingParams& params_;
  TokenFilter* filter_;
  TokenHistory history_;
  std::vector<Token> accepted_;
  std::vector<std::uint64_t> allowed_;
};

struct Verdict {
  std::vector<Sampled> tokens;  // the target's draws, in order; at least one
  int matched = 0;              // drafts among them
  bool stopped = false;         // the last of `tokens` is a stop token, and was not accepted
};

// `rows` [drafts + 1, vocab]: the target's logits for `position` and those that follow. Accepts the
// tokens it returns in `chooser`, except a stop token.
Result<Verdict> verify(TokenChooser& chooser, Sampler& sampler, Mat<const float> rows,
                       std::span<const Token> drafts, Pos position,
                       std::span<const Token> stop_tokens);

}  // namespace plumb
