// One client's connection, from accepted to closed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/http_server.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX
namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace plumb {

// What the connections of a server share; outlives them. Thread-safe: constants and counters.
struct ServerState {
  const HttpServerOptions& options;
  HttpHandler& handler;
  boost::asio::io_context& io;
  boost::asio::thread_pool& workers;
  ssl_ctx_st* tls = nullptr;          // nullptr: plain HTTP
  std::atomic<bool> draining{false};  // no further request is begun
  std::atomic<std::uint64_t> requests{0}, broken{0};
};

// Thread-safe. It keeps itself alive from start() until it is closed.
class Connection {
 public:
  enum class Task : std::uint8_t {
    kServe,
    kRefuse,  // says 503 and closes, all within a second
  };
  // On one of io's threads, once, when the socket is closed. `cut`: by cut(), and a request or its
  // answer was under way.
  using Closed = std::function<void(bool cut)>;

  virtual ~Connection() = default;
  virtual void start(Closed closed) = 0;  // once
  virtual void nudge() = 0;               // `draining` has changed
  virtual void cut() = 0;                 // closes now, whatever is under way
};

// Takes over `descriptor`, a connected non-blocking socket. nullptr: the system has no memory.
std::shared_ptr<Connection> make_connection(ServerState& server, int descriptor, std::string peer,
                                            Connection::Task task);

}  // namespace plumb
