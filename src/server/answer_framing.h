// How an answer stands on the wire: status line, headers, and what marks the end of its body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>

#include "server/http.h"

namespace plumb {

// The frame of one answer. Thread-compatible.
class AnswerFraming {
 public:
  struct Request {
    bool http_1_1 = true;     // chunks are understood
    bool head_only = false;   // HEAD: the body's headers without the body
    bool keep_alive = false;  // the connection could go on
  };
  explicit AnswerFraming(const Request& request) : request_(request) {}

  // Before begin(): the connection does not go on after all.
  void close_after() { request_.keep_alive = false; }
  // Status line and headers; once. `length` of the body, or -1. Characters in `head` that would
  // begin another header become spaces.
  std::string begin(const HttpHead& head, std::int64_t length, std::time_t now);
  // What goes before and after `size` bytes of the body; `last`: they are its last. False: the
  // length that begin() promised is not kept.
  bool frame(std::size_t size, bool last, std::string& before, std::string& after);

  bool begun() const { return begun_; }
  bool bodiless() const { return begun_ && body_ == Body::kNone; }  // nothing follows the head
  bool ends_with_connection() const { return body_ == Body::kToEnd; }
  bool keep_alive() const { return keep_alive_; }  // as the head said

 private:
  enum class Body : std::uint8_t { kNone, kLength, kChunks, kToEnd };

  Request request_;
  Body body_ = Body::kNone;
  bool begun_ = false;
  bool keep_alive_ = false;
  std::uint64_t left_ = 0;  // of a known length
};

}  // namespace plumb
