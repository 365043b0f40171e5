// The answer to one call: provider streams in, the bytes of a wire format out.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/provider.h"
#include "gateway/wire/wire.h"
#include "server/http.h"

namespace plumb {

using Moment = std::chrono::steady_clock::time_point;

// How a call ended and what it took. Usage is added up over the choices that finished: what those
// that were cut had generated, only the engine's own count knows.
struct CallOutcome {
  enum class End { kComplete, kFailed, kAborted };
  End end = End::kAborted;
  std::optional<wire::Refusal> refusal;  // with kFailed
  int status = 0;                        // that the client was told; 0: none
  Usage usage;
  std::vector<FinishReason> reasons;  // of the choices that finished
  std::vector<Brake> brakes;          // of the choices that one ended or steered
  std::vector<int> cached;            // per choice, as the writer was told
  // Whose event was written when, as (choice, how many in a row): with the events themselves it
  // decides every byte.
  std::vector<std::pair<int, int>> order;
  std::string body;  // what the writer wrote; only if asked for
};

struct ChatAnswerOptions {
  const wire::Format* format = nullptr;
  bool stream = false;
  HttpHeaders headers;  // of any answer: request id, traces, limits
  std::string request_id;
  bool keep_body = false;  // CallOutcome::body
  // Once, when the answer's last byte was pulled or it was destroyed before.
  std::function<void(const CallOutcome&)> done;
  // A piece of the answer was taken from its stream; `previous`: the one before it, if there was
  // one.
  std::function<void(std::optional<Moment> previous, Moment now)> token_taken;
  // Pieces were handed to the socket: when the first of them was announced, and now.
  std::function<void(Moment announced, Moment now)> token_written;
  std::function<Moment()> clock = [] { return std::chrono::steady_clock::now(); };
};

// Streams that end for lack of time, by the server's own stop or by a failure end in the format's
// error, never in something that a client could take for a complete reply: before the first event
// as an HTTP status, later as an error event.
std::unique_ptr<Answer> chat_answer(std::vector<std::unique_ptr<ChatStream>> streams,
                                    std::unique_ptr<wire::ReplyWriter> writer,
                                    ChatAnswerOptions options);

// A refusal as an answer in the format's shape.
std::unique_ptr<Answer> refusal_answer(const wire::Refusal& refusal, const wire::Format& format,
                                       HttpHeaders headers, const std::string& request_id);

}  // namespace plumb
