// What the wire formats have in common: a request parsed, a reply written, a refusal told.
//
// A format is two pure things, without sockets, clocks or randomness, so that the same request and
// the same events give the same bytes: parse() turns a body into a Call; its ReplyWriter turns the
// events of the answers into the bytes that the client reads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "gateway/provider.h"

namespace plumb::wire {

// Why a request is not served, as the client is told; each format gives it its own shape.
struct Refusal {
  int status = 400;     // HTTP
  std::string message;  // a sentence with the field, its value and what was expected
  std::string param;    // the field's path ("messages[2].content"), or empty
  std::string code;  // OpenAI's `code`: "context_length_exceeded", "model_not_found" ...; or empty
  std::optional<int> retry_after_s;
};
// By the error's code: kInvalid, kTooLong and kUnsupported 400, kNotFound 404, kExhausted 429,
// kTimeout 408, kCancelled 499, kUnavailable 503, kInternal and kCorrupt 500. kTooLong has the code
// "context_length_exceeded", kNotFound "model_not_found".
Refusal refusal_of(const Error& error);

// What a request leaves open.
struct Defaults {
  SamplingParams sampling;  // as the model's files have them
  Effort effort = Effort::kNone;
  Guards guards;
};

// What the writer needs beside the events. Equal heads and events give equal bytes.
struct ReplyHead {
  std::string unique;        // 32 lower-case hexadecimal digits; ids of the reply are made of it
  std::int64_t created = 0;  // seconds since 1970
  std::string model;         // the name the client is told
  std::string fingerprint;   // of weights, numerics and build, for OpenAI's system_fingerprint
};

// Writes the reply to one call. Thread-compatible.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;
  // Before the first event. `prompt_tokens`: of all choices together.
  virtual void start(int prompt_tokens, std::string& out) = 0;
  // One event of one answer, in the order of its stream. PromptProgress never comes here, nor
  // Finished for another reason than kStop or kLength: such replies are not complete and end in
  // fail().
  virtual void take(int choice, const ChatEvent& event, std::string& out) = 0;
  // Every choice has finished: what ends the stream, or the whole body of a reply that is not
  // streamed (which has written nothing before).
  virtual void end(std::string& out) = 0;
  // A stream breaks off after start(): the format's error event; nothing follows, and a client does
  // not take the reply for complete.
  virtual void fail(const Refusal& refusal, std::string& out) = 0;
};

// A request as it is served.
struct Call {
  std::string model;                 // as the client spelled it; the server says which model it is
  std::vector<ChatRequest> choices;  // one answer each; all the same length of prompt or not
  bool stream = false;
  bool seeded = false;               // the client chose the seed; else the server draws one
  std::vector<std::string> ignored;  // unknown fields by path, indices left out: "messages[].foo"
  std::function<std::unique_ptr<ReplyWriter>(const ReplyHead& head)> writer;
};
using Parsed = std::variant<Call, Refusal>;

// Choice 0 has the seed itself, so that n = 1 and n = 8 begin with the same answer.
inline std::uint64_t seed_of_choice(std::uint64_t seed, int choice) {
  return seed + static_cast<std::uint64_t>(choice) * 0x9e3779b97f4a7c15u;
}

// One wire format. A literal; immutable.
struct Format {
  std::string_view name;  // "openai.chat", as logs and metrics say
  Parsed (*parse)(const Json& body, const Defaults& defaults);
  std::string (*refusal_body)(const Refusal& refusal, std::string_view request_id);
};

}  // namespace plumb::wire
