// Whatever answers chats: our engine, a remote service, a fake, a router.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "engine/engine_core.h"
#include "engine/request.h"
#include "text/chat.h"
#include "text/contract.h"

namespace plumb {

// Raw text gets the model's begin-of-sequence token in front and nothing else; token ids are taken
// as they are.
struct RawText {
  std::string text;
};
using Prompt = std::variant<Conversation, RawText, std::vector<Token>>;

// Brakes for replies that do not end well. What they end is a reply cut by length, with the cause.
struct Guards {
  int max_reasoning = -1;  // tokens; then the reasoning is closed and the answer follows; -1: any
  int max_repeated = 0;    // tokens that repeat what came before; then the reply ends; 0: any
  int max_call = 0;        // tokens of one call; then the reply ends; 0: any
};

struct ChatRequest {
  std::string model;  // empty: whatever the provider has
  Prompt prompt;
  SamplingParams sampling;
  std::vector<std::string> stop;  // end the answer's text and are not part of it
  int max_tokens = -1;            // -1: as many as the context allows
  Contract contract;              // what the reply has to keep; see Guards too
  Guards guards;
  bool speculate = true;
  bool report_tokens = false;  // TokenInfo events
  bool ignore_end = false;     // goes on past the model's own end of turn
  std::string session;         // see GenerateRequest::session
};

// Which guard ended or steered a reply.
enum class Brake : std::uint8_t { kNone, kReasoning, kLoop, kLongCall };
inline constexpr std::size_t kBrakes = 4;
std::string_view to_string(Brake brake);  // "", "reasoning_budget", "loop", "long_call"

struct Usage {
  int prompt = 0;
  int cached = 0;  // prompt tokens that were not computed again
  int completion = 0;
  int reasoning = 0;  // completion tokens before the answer began
  int drafted = 0, accepted = 0;
  double queue_ms = 0, prompt_ms = 0, decode_ms = 0;
  Brake brake = Brake::kNone;
};

// A token that could have come.
struct TokenOption {
  Token token = 0;
  float logprob = 0;
  std::string bytes;  // may be half a character
};
// One token of the answer, before the text it completes.
struct TokenInfo {
  Token token = 0;
  std::string bytes;             // may be half a character
  float logprob = 0;             // if asked for
  std::vector<TokenOption> top;  // most probable first
};

// Comes once, last.
struct Finished {
  FinishReason reason = FinishReason::kStop;
  Usage usage;
  std::optional<Error> error;         // with kFailed
  std::optional<std::string> stop;    // the stop string that ended it
  std::vector<int> unfinished_calls;  // tool calls that were cut off: must not be run
  bool lost_markup = false;           // cut-off markup was left out of the deltas
};
using ChatEvent = std::variant<ReplyDelta, TokenInfo, PromptProgress, Finished>;

struct CallContext {
  std::string request_id;
  std::string tenant;
  std::optional<std::chrono::steady_clock::time_point> deadline;
};

// A reply in progress, pulled by one consumer. Decoding and parsing happen in the pull, on the
// consumer's thread. Destroying it cancels. Thread-compatible.
class ChatStream {
 public:
  virtual ~ChatStream() = default;
  virtual std::optional<ChatEvent> try_next() = 0;  // nullopt: nothing yet, or over
  // Waits; nullopt: over, or stopped.
  virtual std::optional<ChatEvent> next(std::stop_token stop = {}) = 0;
  // The reply ends soon, with what was written so far; Finished still comes.
  virtual void cancel() = 0;
  virtual void set_waker(std::function<void()> wake) = 0;  // as in Channel
  virtual int prompt_tokens() const = 0;                   // of this reply's prompt
};

// What clients may know of a model.
struct ModelCard {
  std::string name;
  Pos context = 0;          // tokens that prompt and answer may have together
  std::string fingerprint;  // of the weights
  std::string tokenizer;    // of everything that decides ids; empty: unknown
  std::string numerics;     // id
};

// Thread-safe. chat() returns before the first token and does not wait for it.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual std::vector<ModelCard> models() const = 0;
  virtual bool healthy() const = 0;
  virtual Result<std::unique_ptr<ChatStream>> chat(ChatRequest request,
                                                   const CallContext& context) = 0;

  // The ids that the model would read. kNotFound: no such model; kUnsupported: this provider does
  // not have the tokenizer; kInvalid as in chat().
  virtual Result<std::vector<Token>> tokenize(const std::string& model,
                                              const Prompt& prompt) const = 0;
  // The text of ids, invalid UTF-8 replaced. kInvalid names an id that the vocabulary lacks.
  virtual Result<std::string> detokenize(const std::string& model,
                                         std::span<const Token> tokens) const = 0;
  // Of the engines behind it, added up.
  virtual EngineStats stats() const = 0;
};

struct ChatReply {
  Message message;  // without calls that were cut off
  std::vector<TokenInfo> tokens;
  Finished finish;
};
// Blocks until Finished. The error of a failed reply is the result's.
Result<ChatReply> collect(ChatStream& stream);

// Adds one step of a reply to the message it makes.
void append(Message& message, const ReplyDelta& delta);

}  // namespace plumb
