// What the engine is asked and what it answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace plumb {

// How the next token is chosen from the logits; the order of the steps is stated in sampler.h.
struct SamplingParams {
  float temperature = 1.0f;         // below 0.001 = greedy: the highest logit, the lowest id on ties
  int top_k = 0;                    // 0 = off
  float top_p = 1.0f;               // 1 = off
  float min_p = 0.0f;               // 0 = off; relative to the most probable token
  std::uint64_t seed = 0;           // the token at position p is a function of (logits, seed, p)
  float repetition_penalty = 1.0f;  // 1 = off; over tokens of the prompt and of the answer
  float presence_penalty = 0.0f;    // over tokens of the answer
  float frequency_penalty = 0.0f;   // over tokens of the answer, times their count
  std::vector<std::pair<Token, float>> logit_bias;
  int logprobs = -1;                // alternatives reported per token; 0: the token's own; -1: none

  bool greedy() const { return temperature < 0.001f; }
  // kInvalid names the field, its value and what is possible.
  Status validate(int vocab) const;
};

// Forbids tokens that would break a grammar or schema. One per request, used on the engine thread.
// With speculation the engine accepts tokens on trial and takes them back.
class TokenFilter {
 public:
  virtual ~TokenFilter() = default;
  // Clears the bit of every token that must not come next: token t is bit t mod 64 of word t / 64.
  // All bits are set on entry. Must not change the filter.
  virtual void bitmask(std::span<std::uint64_t> allowed) = 0;
  virtual void accept(Token token) = 0;
  virtual void rollback(int tokens) = 0;  // forgets the last accepted ones
};

using Deadline = std::chrono::steady_clock::time_point;

struct GenerateRequest {
  std::vector<Token> prompt;  // at least one token
  SamplingParams sampling;
  std::vector<Token> stop_tokens;       // end the answer and are not part of it
  // -1: as many as context and memory allow; 0: only read the prompt
  int max_tokens = -1;
  std::unique_ptr<TokenFilter> filter;  // null: anything goes
  std::optional<Deadline> deadline;
  // Token counts at which a turn or tool block of the prompt ends: where others may want to go on.
  std::vector<int> boundaries;
  bool speculate = true;      // never changes the answer
  bool score_prompt = false;  // report the log probability of every prompt token (reads all of it)
  // Keeps the state under this name after the answer and continues from it when the next prompt
  // begins with what it holds. Never changes the answer. Empty: none.
  std::string session;
  std::uint64_t scope = 0;  // prefixes are shared only within one scope (tenant)
};

enum class FinishReason : std::uint8_t { kStop, kLength, kCancelled, kDeadline, kFailed };
inline constexpr std::size_t kFinishReasons = 5;
std::string_view to_string(FinishReason reason);

struct GenerationUsage {
  int prompt = 0;
  int cached = 0;     // prompt tokens whose state was already there
  int generated = 0;
  int drafted = 0;
  int accepted = 0;   // drafted tokens that became part of the answer
  double queue_ms = 0, prompt_ms = 0, decode_ms = 0;  // waiting, to the first token, after it
};

// Part of the prompt was read.
struct PromptProgress {
  int done = 0;
  int total = 0;
};
// Natural-log probabilities of prompt tokens first, first + 1, ... given what precedes each.
struct PromptScores {
  int first = 0;
  std::vector<float> logprobs;
};
struct TokenLogprob {
  Token token = 0;
  float logprob = 0;
};
struct TokenEvent {
  Token token = 0;
  float logprob = 0;              // of the raw logits; only if asked for
  std::vector<TokenLogprob> top;  // most probable first
};
// Comes once, last.
struct GenerationEnd {
  FinishReason reason = FinishReason::kStop;
  std::optional<Token> stop_token;  // with kStop
  GenerationUsage usage;
  std::optional<Error> error;       // with kFailed
};
using GenerationEvent = std::variant<PromptProgress, PromptScores, TokenEvent, GenerationEnd>;

}  // namespace plumb
