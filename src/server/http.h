// HTTP as the rest of the server sees it: a request that was read, an answer that is pulled.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plumb {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;   // "POST"
  std::string path;     // "/v1/models", percent-decoded UTF-8 without zero bytes, without the query
  std::string query;    // as sent, without the question mark
  HttpHeaders headers;  // names in lower case, in order
  std::string body;
  std::string peer;                                  // the client's address
  std::chrono::steady_clock::time_point received{};  // when the head was complete

  // The first one of that name (lower case); empty: none.
  std::string_view header(std::string_view name) const;
};

struct HttpHead {
  int status = 200;
  HttpHeaders headers;  // without Content-Length, Transfer-Encoding, Connection, Date
};

// One request being answered. The connection pulls: it asks for more bytes when the socket has
// taken the last ones, so a slow reader slows its own answer only. Used on one thread at a time.
// Destroying it before kEnd means that the client went away: the work behind it is cancelled.
class Answer {
 public:
  enum class State {
    kWait,  // nothing more now; the waker will be called
    kMore,  // call again when these bytes are written
    kEnd,   // with these bytes the body is complete
    // The answer ends here incomplete: after these bytes the connection is cut, so that nobody
    // takes it for complete. Before anything was sent it becomes refuse(500).
    kBroken,
  };
  virtual ~Answer() = default;

  // What the status line and headers will be; nullptr: not known yet, and nothing can be sent.
  virtual const HttpHead* head() const = 0;
  // The body's length if it is known when the head is: then it is not sent in chunks. -1: unknown.
  virtual std::int64_t length() const { return -1; }
  // Appends what can be sent now. Also called while head() is null: that is when an answer finds
  // out whether it knows. Bytes appended, or kEnd, while head() is still null are an error.
  virtual State pull(std::string& out) = 0;
  // `wake` may be called from any thread, also spuriously, until the answer is destroyed. It does
  // not block.
  virtual void set_waker(std::function<void()> wake) = 0;
  // Nothing was sent for some seconds: may make the head known and append bytes without meaning (an
  // SSE comment, white space before JSON), so that nobody between takes the connection for dead.
  virtual void keep_alive(std::string& out) = 0;
  // All bytes pulled so far were handed to the operating system.
  virtual void written() {}
};

// An answer whose bytes are there.
std::unique_ptr<Answer> whole_answer(HttpHead head, std::string body);

// What the connection asks before and after it reads a body. Thread-safe.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  struct Admission {
    std::unique_ptr<Answer> refusal;  // not null: sent instead; the body is not read
    std::size_t max_body = 0;         // bytes; beyond it refuse(413)
  };
  // The head was read, the body was not.
  virtual Admission admit(const HttpRequest& head) = 0;
  // May be called on any thread, and may take long: large bodies come on a thread of their own.
  virtual std::unique_ptr<Answer> handle(HttpRequest request) = 0;
  // What HTTP itself finds wrong: 400 malformed, 408 too slow, 413 body, 431 head, 500 the other
  // two functions threw or gave nothing, 503 too many connections. `head`: what is known of the
  // request.
  virtual std::unique_ptr<Answer> refuse(int status, const std::string& message,
                                         const HttpRequest& head) = 0;
};

}  // namespace plumb
