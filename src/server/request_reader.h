// Bytes from a client, in any cut, become requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/http.h"

namespace plumb {

// Reads the requests of one connection, one after the other. It knows no socket and no clock: what
// it makes of some bytes does not depend on how they were cut. Between the head and the body it
// waits to be told how much body is welcome; between two requests it waits for next(). What arrives
// meanwhile is kept and must be bounded by the caller (kept()). Thread-compatible.
class RequestReader {
 public:
  enum class State : std::uint8_t {
    kHead,      // wants more bytes of the head
    kHeadDone,  // the head is in request(); read_body() or skip_body() is due
    kBody,      // wants more bytes of the body
    kDone,      // request() is complete; next() is due
    kRefused,   // status() and message() say why; whatever comes now is thrown away
  };

  // `max_head`: bytes of request line and headers.
  explicit RequestReader(std::size_t max_head);
  ~RequestReader();

  void feed(std::string_view bytes);
  State state() const { return state_; }

  // In kHeadDone. More than `max_body` bytes are refused with 413: at once if the length is
  // declared. Memory grows with what arrives, not with what is declared.
  void read_body(std::size_t max_body);
  // In kHeadDone: the same, but the bytes are not stored. False: the body is longer than `most`, or
  // of undeclared length, and state() stays.
  bool skip_body(std::size_t most);
  // In kDone: on to the next request.
  void next();
  // Nothing more is read; what comes is thrown away.
  void stop();

  // What is known so far, without `peer` and `received`.
  HttpRequest& request() { return request_; }
  bool started() const { return head_bytes_ > 0 || !kept_.empty(); }  // a byte of it was seen
  bool has_body() const;  // in kHeadDone: it has a body that is not empty
  std::uint64_t body_bytes() const { return body_bytes_; }  // that arrived
  std::size_t kept() const { return kept_.size(); }         // bytes held for later
  bool http_1_1() const { return http_1_1_; }
  bool keep_alive() const { return keep_alive_; }              // the client expects to go on
  bool expects_continue() const { return expects_continue_; }  // waits for 100 before the body

  // In kRefused by reading (not by stop()).
  int status() const { return status_; }
  const std::string& message() const { return message_; }

 private:
  class Parser;

  std::size_t run(std::string_view bytes);
  std::size_t run_head(std::string_view bytes);
  std::size_t run_body(std::string_view bytes);
  void finish_head();
  void begin_body(std::size_t max_body, bool store);
  void store_body(std::string_view bytes);
  void refuse(int status, std::string message);

  const std::size_t max_head_;
  State state_ = State::kHead;
  std::unique_ptr<Parser> parser_;
  HttpRequest request_;
  std::string kept_;
  std::size_t head_bytes_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::size_t max_body_ = 0;
  bool store_body_ = true;
  bool http_1_1_ = true;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
  int status_ = 0;
  std::string message_;
};

// "/a%20b" → "/a b". False: an escape is not two hexadecimal digits, gives a zero byte, or the
// result is not UTF-8.
bool decode_path(std::string_view text, std::string& out);

}  // namespace plumb
