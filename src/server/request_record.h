// What is known of a request once it is over: metrics and the request log are made of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/provider.h"

namespace plumb {

// What a route computes, in OpenTelemetry's words.
enum class Operation : std::uint8_t { kNone, kChat, kTextCompletion };
std::string_view to_string(Operation operation);  // "", "chat", "text_completion"

// Why a request was not served at all.
enum class RefusalCause : std::uint8_t {
  kNone,
  kInvalid,
  kTooLong,
  kUnsupported,
  kNotFound,
  kAuthentication,
  kForbidden,
  kRateLimit,
  kQueueFull,
  kTooLarge,
  kTimeout,
  kDraining,
  kUnavailable,
  kInternal,
};
std::string_view to_string(RefusalCause cause);  // "", "invalid", "too_long", ...
RefusalCause refusal_cause(Code code);           // kExhausted is the queue; kCancelled is kNone

// Why an answer that had begun did not come to its end.
enum class AbortCause : std::uint8_t { kNone, kClientGone, kDeadline, kEngineFailed, kDraining };
std::string_view to_string(AbortCause cause);  // "", "client_gone", ...

// What all answers of a server have in common.
struct ServedFacts {
  std::string fingerprint;    // of the weights
  std::string tokenizer;      // of what decides ids
  std::string numerics;       // id
  std::string build;          // version and commit
  std::string config_digest;  // of the effective configuration
};

struct RequestRecord {
  std::chrono::system_clock::time_point received{};
  std::string request_id, trace_id;
  std::string_view
      route;  // of the route table ("/v1/chat/completions"), never as the client sent it
  std::string_view format;  // wire::Format::name, or empty
  Operation operation = Operation::kNone;
  std::string model_asked;  // as the client spelled it
  std::string model;        // that served it; empty: none did
  std::string key;          // name of the API key; empty: none
  std::string peer;
  std::uint64_t body_bytes = 0;
  bool stream = false;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> ignored;  // unknown fields, as Call::ignored

  int status = 0;       // 0: the client went away before there was one
  bool queued = false;  // the engine took it: its tokens and times count
  // Of all choices together, as the client is told; times are those of the slowest one. Of an
  // answer that was aborted: what was generated.
  Usage usage;
  std::vector<FinishReason> finished;    // one per choice that came to an end
  std::vector<Brake> brakes;             // of the choices that one ended or steered
  std::optional<double> first_token_ms;  // since it was received
  double total_ms = 0;                   // since it was received
  RefusalCause refused = RefusalCause::kNone;
  AbortCause aborted = AbortCause::kNone;
  std::string error;  // the sentence that the client was told

  std::string body, answer;  // filled only when the log wants content
};

}  // namespace plumb
