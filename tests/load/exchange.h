// One request and its streamed reply, without the socket.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/wire/sse_reader_for_tests.h"
#include "load/connection.h"
#include "load/http_reader.h"
#include "load/loop.h"
#include "load/reply_check.h"
#include "load/request_plan.h"

namespace plumb::load {

enum class Ending : std::uint8_t {
  kComplete,   // to the end of format and body
  kCancelled,  // the client left
  kStatus,     // another answer than a stream
  kProtocol,   // bytes that format or HTTP forbid
  kCut,        // the connection closed before the reply's end
  kTimeout,
  kConnect,  // there was no connection
};
inline constexpr Ending kFailures[] = {Ending::kStatus, Ending::kProtocol, Ending::kCut,
                                       Ending::kTimeout, Ending::kConnect};
inline bool is_failure(Ending ending) { return ending >= Ending::kStatus; }
std::string_view to_string(Ending ending);  // "protocol"

// Between two pieces of one answer.
struct Gap {
  Moment end{};
  double ms = 0;
};

// What came of one request.
struct Sample {
  Ending ending = Ending::kComplete;
  int status = 0;
  std::string why;  // a failure's sentence
  bool slow = false;
  Moment sent{};
  std::optional<double> first_ms;  // from `sent` to the first piece of the answer
  std::vector<Gap> gaps;
  TokenUsage usage;  // of a complete one
};

// Reads one reply. Thread-compatible.
class Exchange {
 public:
  Exchange(const Ask& ask, Moment sent);

  // false: it is over; the sample says how.
  bool take(std::string_view bytes, Moment when);
  // From outside: the connection closed, the time is over, or the client leaves.
  void fail(Ending ending, std::string why);

  const Sample& sample() const { return sample_; }
  Sample take_sample() { return std::move(sample_); }
  // The connection can carry another request.
  bool reusable() const { return sample_.ending == Ending::kComplete && http_.keep_alive(); }

 private:
  bool is_stream() const;
  bool take_events(std::string_view bytes, Moment when);
  void note_piece(Moment when);
  bool end();

  int cancel_after_;
  HttpReader http_;
  wire::SseReader sse_;
  std::unique_ptr<ReplyCheck> check_;
  std::string body_;  // of an answer that is no stream
  int pieces_ = 0;
  Moment last_{};  // piece
  Sample sample_;
};

// The bytes of a request. `key`: sent as each API wants it; empty: none.
std::string http_request(const Target& target, std::string_view method, std::string_view path,
                         std::string_view body = "", std::string_view key = "");

}  // namespace plumb::load
