// Chooses the next token: a pure function of logits, parameters, position and history.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "engine/request.h"

namespace plumb {

// Which tokens a sequence holds and how often: what penalties look at. Tokens can be taken back,
// last in first out. Thread-compatible.
class TokenHistory {
 public:
  void add_prompt(Token token) { ++counts_[token].prompt; }
  void push(Token token) { ++counts_[token].answer; }
  void pop(Token token);

  struct Count { int prompt = 0, answer = 0; };
  const std::unordered_map<Token, Count>& counts() const { return counts_; }

 private:
  std::unordered_map<Token, Count> counts_;
};

struct Sampled {
  Token token = 0;
  float logprob = 0;              // only if params.logprobs >= 0
  std::vector<TokenLogprob> top;  // params.logprobs of them, most probable first
};

// Same inputs, same token, on every machine. The steps, in this order:
//   1. penalties: repetition (a logit above 0 is divided, others multiplied), presence, frequency;
//      then logit_bias is added
//   2. the filter's mask
//   3. temperature (below 0.001: the highest logit wins, the lowest id on ties; done)
//   4. top_k, then top_p, then min_p, each on what the one before left; ranks order by logit, then
//      by lower id; top_p keeps the smallest set whose probability reaches p, renormalised after
//      top_k; min_p drops what is less probable than min_p times the most probable token
//   5. the draw: u = uniform(seed, position); the first kept token in ascending id whose cumulated
//      probability passes u
// Reported log probabilities are those of the raw logits, before step 1.
// Keeps scratch memory only. Thread-compatible.
class Sampler {
 public:
  // `allowed` as in TokenFilter::bitmask; empty: everything. kInternal: the logits hold NaN or an
  // infinity (the message says where); kInvalid: every token is forbidden.
  Result<Sampled> sample(std::span<const float> logits, const SamplingParams& params, Pos position,
                         const TokenHistory& history, std::span<const std::uint64_t> allowed);

 private:
  struct Candidate { float logit; Token token; };
  Status adjust(std::span<const float> logits, const SamplingParams& params,
                const TokenHistory& history, std::span<const std::uint64_t> allowed);
  void keep_likely(const SamplingParams& params);
  Token draw(const SamplingParams& params, Pos position);

  std::vector<float> adjusted_;        // [vocab]
  std::vector<Candidate> candidates_;  // what may still be drawn
  std::vector<float> weights_;         // exp(logit - highest), beside candidates_
};

// log(sum(exp(logits))) in a fixed order, and the log probability of one token.
float log_sum_exp(std::span<const float> logits);
float token_logprob(std::span<const float> logits, Token token);

// kInternal names the first NaN or infinity; `position` is the one that the logits predict.
Status check_finite(std::span<const float> logits, Pos position);

}  // namespace plumb
