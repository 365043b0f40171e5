#include "load/exchange.h"

#include <utility>

#include "base/strings.h"

namespace plumb::load {

std::string_view to_string(Ending ending) {
  switch (ending) {
    case Ending::kComplete:
      return "complete";
    case Ending::kCancelled:
      return "cancelled";
    case Ending::kStatus:
      return "status";
    case Ending::kProtocol:
      return "protocol";
    case Ending::kCut:
      return "cut";
    case Ending::kTimeout:
      return "timeout";
    case Ending::kConnect:
      return "connect";
  }
  return "";
}

Exchange::Exchange(const Ask& ask, Moment sent)
    : cancel_after_(ask.cancel_after), check_(make_reply_check(ask.api)) {
  sample_.sent = sent;
  sample_.slow = ask.slow;
}

void Exchange::fail(Ending ending, std::string why) {
  sample_.ending = ending;
  sample_.why = std::move(why);
}

bool Exchange::is_stream() const {
  return http_.status() == 200 && http_.header("content-type").starts_with("text/event-stream");
}

bool Exchange::take(std::string_view bytes, Moment when) {
  std::string part;
  const HttpReader::State state = http_.push(bytes, part);
  sample_.status = http_.status();
  if (state == HttpReader::State::kBroken) {
    fail(Ending::kProtocol, http_.error());
    return false;
  }
  if (state == HttpReader::State::kHead) return true;
  if (is_stream()) {
    if (!take_events(part, when)) return false;
  } else {
    body_ += part;
  }
  return state != HttpReader::State::kDone || end();
}

bool Exchange::take_events(std::string_view bytes, Moment when) {
  for (const wire::SseEvent& event : sse_.push(bytes)) {
    const Result<bool> piece = check_->take(event);
    if (!piece) {
      fail(Ending::kProtocol, piece.error().message);
      return false;
    }
    if (!*piece) continue;
    note_piece(when);
    if (pieces_ == cancel_after_) {
      sample_.ending = Ending::kCancelled;
      return false;
    }
  }
  if (sse_.malformed().empty()) return true;
  fail(Ending::kProtocol, str("A line of the stream is ", sse_.malformed().front().substr(0, 200)));
  return false;
}

void Exchange::note_piece(Moment when) {
  if (pieces_++ == 0) {
    sample_.first_ms = ms_between(sample_.sent, when);
  } else {
    sample_.gaps.push_back({when, ms_between(last_, when)});
  }
  last_ = when;
}

bool Exchange::end() {
  if (!is_stream()) {
    fail(Ending::kStatus, str("Status ", sample_.status, ": ", body_.substr(0, 300)));
    return false;
  }
  const auto usage = check_->end();
  if (!usage) {
    fail(Ending::kProtocol, usage.error().message);
  } else if (sse_.inside_event()) {
    fail(Ending::kProtocol, "The stream ended inside an event.");
  } else {
    sample_.usage = *usage;
  }
  return false;
}

std::string http_request(const Target& target, std::string_view method, std::string_view path,
                         std::string_view body, std::string_view key) {
  std::string out =
      str(method, " ", target.prefix, path, " HTTP/1.1\r\nHost: ", target.authority, "\r\n");
  if (!key.empty()) out += str("Authorization: Bearer ", key, "\r\nX-Api-Key: ", key, "\r\n");
  if (path == "/v1/messages") out += "Anthropic-Version: 2023-06-01\r\n";
  if (!body.empty()) {
    out += str("Content-Type: application/json\r\nContent-Length: ", body.size(), "\r\n");
  }
  return str(out, "\r\n", body);
}

}  // namespace plumb::load
