// The sockets: accepts, reads requests, writes answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "server/http.h"

namespace plumb {

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one
  int io_threads = 2;
  int worker_threads = 2;  // large bodies are handled there
  int max_connections = 1024;
  std::size_t max_head = 64 << 10;  // bytes of request line and headers
  // From a head's first byte to its last; also to the first byte of a new connection, and for a TLS
  // handshake.
  std::chrono::milliseconds head_timeout{10000};
  // Without any progress while a body is read; longer ones need 1 KiB per second on average, too.
  std::chrono::milliseconds body_timeout{30000};
  std::chrono::milliseconds write_timeout{
      60000};                                     // without any progress while an answer is written
  std::chrono::milliseconds idle_timeout{75000};  // between two requests of a connection
  std::chrono::milliseconds keep_alive{10000};    // silence before Answer::keep_alive()
  std::string tls_certificate, tls_key;           // PEM files; both empty: plain HTTP
};

struct HttpServerStats {
  std::uint64_t accepted = 0, refused = 0;  // connections; refused: beyond max_connections
  int open = 0;                             // of the accepted ones
  std::uint64_t requests = 0;               // whose head was read
  std::uint64_t broken = 0;  // of these, whose client went, or read nothing, before the end
};

// HTTP/1.1 over TCP or TLS. Thread-safe.
class HttpServer {
 public:
  // kUnavailable: the address cannot be had; kInvalid/kCorrupt: certificate or key. `handler` must
  // outlive it.
  static Result<std::unique_ptr<HttpServer>> listen(const HttpServerOptions& options,
                                                    HttpHandler& handler);
  virtual ~HttpServer() = default;         // closes what is open; joins
  virtual std::uint16_t port() const = 0;  // the real one
  virtual HttpServerStats stats() const = 0;
  // Accepts nothing new, lets requests that run finish (their connections close afterwards) for at
  // most `grace`, then cuts them. Returns when nothing is open; true: nothing was cut.
  virtual bool drain(std::chrono::milliseconds grace) = 0;
};

}  // namespace plumb
