// A client that says exactly the bytes it is told to, and shows exactly what comes back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX
struct ssl_st;      // OpenSSL's SSL

namespace plumb {

// What a server answered.
struct RawReply {
  int status = 0;         // 0: no status line came
  HttpHeaders headers;    // names in lower case
  std::string body;       // without the marks of chunks
  int chunks = 0;         // that the body came in
  bool complete = false;  // all of it, as the framing says; until-close: only by an orderly end

  std::string header(std::string_view name) const;  // "": none
};

// One connection, plain or TLS (any certificate will do). Blocking, with a deadline on every call:
// what misses it counts as failed. Thread-compatible; a plain one may send on another thread than
// it reads.
class RawClient {
 public:
  using Timeout = std::chrono::milliseconds;
  // Long in failing, for slow machines; never waited for when all is well.
  static constexpr Timeout kPatience{30000};

  // connected() tells how it went.
  explicit RawClient(std::uint16_t port, const std::string& address = "127.0.0.1");
  struct Tls {};
  RawClient(Tls, std::uint16_t port, const std::string& address = "127.0.0.1");
  // `receive_buffer`: bytes that the kernel takes for a client that does not read.
  struct SlowReader {
    int receive_buffer;
  };
  RawClient(SlowReader slow, std::uint16_t port);
  ~RawClient();
  RawClient(RawClient&& other) noexcept;
  RawClient& operator=(RawClient&&) = delete;

  bool connected() const { return fd_ >= 0; }
  // False: the server took only a part.
  bool send(std::string_view bytes, Timeout timeout = kPatience);
  // A request with Host and, unless empty, a body of Content-Length.
  bool request(std::string_view method, std::string_view target, std::string_view body = {},
               std::string_view more_headers = {});

  // Status line and headers, without touching the body. Status 0: none came.
  RawReply read_head(Timeout timeout = kPatience);
  // A whole answer. `to_head`: it has no body, whatever its headers say.
  RawReply read_reply(bool to_head = false, Timeout timeout = kPatience);
  // The data of the next chunk, "" for the final one; nullopt: none came.
  std::optional<std::string> read_chunk(Timeout timeout = kPatience);
  // What is there, at least a byte; "": the end, or nothing in time.
  std::string read_some(Timeout timeout = kPatience);
  // Reads, and drops, until the server closes. False: it did not in time.
  bool closed(Timeout timeout = kPatience);
  // After the above: how it ended. TLS: orderly means with TLS's own farewell.
  bool ended_orderly() const { return ended_ && !broken_; }

  void finish_sending();  // half-closes
  void close();
  void reset();  // closes so that the server sees a reset

 private:
  using Clock = std::chrono::steady_clock;
  void connect(std::uint16_t port, const std::string& address, int receive_buffer);
  void start_tls();
  bool wait(short events, Clock::time_point deadline) const;
  bool wait_tls(int result, Clock::time_point deadline);
  bool fill(Clock::time_point deadline);
  std::optional<std::string> take(std::size_t size, Clock::time_point deadline);
  std::optional<std::string> take_line(Clock::time_point deadline);
  std::optional<std::string> take_chunk(Clock::time_point deadline);
  RawReply take_head(Clock::time_point deadline);

  int fd_ = -1;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* session_ = nullptr;
  std::string buffer_;  // read from the socket, not yet handed out
  bool ended_ = false, broken_ = false;
};

}  // namespace plumb
