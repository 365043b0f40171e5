#include "server/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "server/connection.h"
#include "server/tls.h"

namespace plumb {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

// Connections beyond the limit that are told so at the same time; more are closed without a word.
constexpr int kMaxRefusing = 64;
// Connections taken in before other work has its turn.
constexpr int kAcceptBatch = 64;
// Pause after the system had no descriptor or no memory for a connection.
constexpr milliseconds kAcceptPause{50};
constexpr milliseconds kLongest = std::chrono::hours(24 * 365);

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    // A client of IPv4 at a socket that takes both.
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
    ::inet_ntop(mapped ? AF_INET : AF_INET6, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), text,
                sizeof text);
  } else if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  }
  return text;
}

// A token must reach its client also while every core computes. Not permitted to everybody.
void prefer_this_thread() {
  constexpr int kNice = -5;
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

class AsioHttpServer final : public HttpServer {
 public:
  AsioHttpServer(const HttpServerOptions& options, HttpHandler& handler, TlsContext tls);
  ~AsioHttpServer() override;

  Status open();
  void start();  // throws std::system_error: no thread can be had

  std::uint16_t port() const override { return port_; }
  HttpServerStats stats() const override;
  bool drain(milliseconds grace) override;

 private:
  // One listening socket; used on its strand.
  struct Listener {
    explicit Listener(asio::io_context& io) : acceptor(asio::make_strand(io)) {}
    tcp::acceptor acceptor;
  };

  Status open(const std::vector<tcp::endpoint>& endpoints);
  Status open(const tcp::endpoint& endpoint, bool one_of_many);
  awaitable<void> accept_loop(Listener& listener);
  bool accept_some(Listener& listener);
  std::optional<Connection::Task> count_in();
  bool take_in(int descriptor, std::string peer);
  void closed(Connection* connection, Connection::Task task, bool cut);
  void run();

  const HttpServerOptions options_;
  const TlsContext tls_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::thread_pool workers_;
  ServerState state_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::uint16_t port_ = 0;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  int serving_ = 0, refusing_ = 0;  // connections
  int accepting_ = 0;               // loops that run
  std::uint64_t accepted_ = 0, refused_ = 0;
  std::uint64_t cut_ = 0;
};

AsioHttpServer::AsioHttpServer(const HttpServerOptions& options, HttpHandler& handler,
                               TlsContext tls)
    : options_(options),
      tls_(std::move(tls)),
      io_(options.io_threads),
      work_(io_.get_executor()),
      workers_(static_cast<std::size_t>(options.worker_threads)),
      state_{options_, handler, io_, workers_, tls_.get()} {}

Status AsioHttpServer::open() {
  tcp::resolver resolver(io_);
  error_code error;
  const auto found =
      resolver.resolve(options_.address, to_text(options_.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) {
    return Error{Code::kUnavailable,
                 str("The address \"", options_.address,
                     "\" is no address or name of one: ", error.message(), ".")};
  }
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  Status opened = open(endpoints);
  // The port that the system chose for one address may be taken at the next.
  for (int i = 0; i < 8 && !opened && options_.port == 0 && port_ != 0; ++i) {
    opened = open(endpoints);
  }
  return opened;
}

// A name may stand for several addresses ("localhost" for 127.0.0.1 and ::1): listens on all that
// this machine has, at the same port.
Status AsioHttpServer::open(const std::vector<tcp::endpoint>& endpoints) {
  listeners_.clear();
  port_ = 0;
  Status last;
  for (tcp::endpoint endpoint : endpoints) {
    if (port_ != 0) endpoint.port(port_);
    last = open(endpoint, endpoints.size() > 1);
    if (!last && last.error().code != Code::kUnsupported) return last;
  }
  if (!listeners_.empty()) return {};
  return Error{Code::kUnavailable, last.error().message};
}

// kUnsupported: this machine has no such address.
Status AsioHttpServer::open(const tcp::endpoint& endpoint, bool one_of_many) {
  auto listener = std::make_unique<Listener>(io_);
  tcp::acceptor& acceptor = listener->acceptor;
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  // Else "::" would take 0.0.0.0 along and leave nothing for it.
  if (!error && one_of_many && endpoint.address().is_v6()) {
    acceptor.set_option(asio::ip::v6_only(true), error);
  }
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor.non_blocking(true, error);
  const tcp::endpoint bound = error ? endpoint : acceptor.local_endpoint(error);
  if (error) {
    const bool absent =
        error == asio::error::address_family_not_supported || error.value() == EADDRNOTAVAIL;
    return Error{absent ? Code::kUnsupported : Code::kUnavailable,
                 str("The server cannot listen on ", endpoint.address().to_string(), " port ",
                     endpoint.port(), ": ", error.message(), ".")};
  }
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  port_ = bound.port();
  listeners_.push_back(std::move(listener));
  return {};
}

void AsioHttpServer::start() {
  for (int i = 0; i < options_.io_threads; ++i) {
    threads_.emplace_back([this] {
      prefer_this_thread();
      run();
    });
  }
  accepting_ = static_cast<int>(listeners_.size());
  for (const auto& listener : listeners_) {
    asio::co_spawn(listener->acceptor.get_executor(), accept_loop(*listener),
                   [this](std::exception_ptr) {
                     const std::lock_guard lock(mutex_);
                     --accepting_;
                     changed_.notify_all();
                   });
  }
}

void AsioHttpServer::run() {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (...) {  // no memory for one operation: the others go on
    }
  }
}

AsioHttpServer::~AsioHttpServer() {
  drain(milliseconds(0));
  work_.reset();
  for (std::thread& thread : threads_) thread.join();
  workers_.join();
}

awaitable<void> AsioHttpServer::accept_loop(Listener& listener) {
  asio::steady_timer pause(listener.acceptor.get_executor());
  error_code error;
  while (!state_.draining) {
    co_await listener.acceptor.async_wait(tcp::acceptor::wait_read,
                                          asio::redirect_error(asio::use_awaitable, error));
    if (state_.draining) break;
    const bool short_of_something = error || !accept_some(listener);
    if (!short_of_something) continue;
    pause.expires_after(kAcceptPause);
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
  listener.acceptor.close(error);
}

// False: the system has no descriptor or memory for more at the moment.
bool AsioHttpServer::accept_some(Listener& listener) {
  for (int i = 0; i < kAcceptBatch; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int descriptor =
        ::accept4(listener.acceptor.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                  SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      if (!take_in(descriptor, address_text(address))) return false;
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return false;
    // Anything else is about that one client, who has gone again.
  }
  return true;
}

// False: no memory for it.
bool AsioHttpServer::take_in(int descriptor, std::string peer) {
  const auto task = count_in();
  if (!task) {
    ::close(descriptor);
    return true;
  }
  std::shared_ptr<Connection> connection;
  try {
    connection = make_connection(state_, descriptor, std::move(peer), *task);
    if (connection) {
      {
        const std::lock_guard lock(mutex_);
        connections_.emplace(connection.get(), connection);
      }
      connection->start(
          [this, key = connection.get(), task = *task](bool cut) { closed(key, task, cut); });
      return true;
    }
  } catch (const std::bad_alloc&) {
  }
  const std::lock_guard lock(mutex_);
  connections_.erase(connection.get());
  --(*task == Connection::Task::kServe ? serving_ : refusing_);
  return false;
}

// What is to be done with one more connection; nullopt: not even a refusal.
std::optional<Connection::Task> AsioHttpServer::count_in() {
  const std::lock_guard lock(mutex_);
  if (serving_ < options_.max_connections) {
    ++accepted_;
    ++serving_;
    return Connection::Task::kServe;
  }
  ++refused_;
  if (refusing_ >= kMaxRefusing) return std::nullopt;
  ++refusing_;
  return Connection::Task::kRefuse;
}

void AsioHttpServer::closed(Connection* connection, Connection::Task task, bool cut) {
  const std::lock_guard lock(mutex_);
  connections_.erase(connection);
  --(task == Connection::Task::kServe ? serving_ : refusing_);
  cut_ += cut ? 1 : 0;
  changed_.notify_all();
}

HttpServerStats AsioHttpServer::stats() const {
  HttpServerStats stats;
  stats.requests = state_.requests;
  stats.broken = state_.broken;
  const std::lock_guard lock(mutex_);
  stats.accepted = accepted_;
  stats.refused = refused_;
  stats.open = serving_;
  return stats;
}

bool AsioHttpServer::drain(milliseconds grace) {
  state_.draining = true;
  for (const auto& listener : listeners_) {
    asio::post(listener->acceptor.get_executor(), [&acceptor = listener->acceptor] {
      error_code ignored;
      acceptor.close(ignored);
    });
  }
  const auto until = std::chrono::steady_clock::now() + std::min(grace, kLongest);
  const auto nothing_open = [this] { return connections_.empty() && accepting_ == 0; };
  std::unique_lock lock(mutex_);
  const std::uint64_t cut_before = cut_;
  for (const auto& [key, connection] : connections_) connection->nudge();
  if (!changed_.wait_until(lock, until, nothing_open)) {
    for (const auto& [key, connection] : connections_) connection->cut();
    changed_.wait(lock, nothing_open);
  }
  return cut_ == cut_before;
}

Status check(const HttpServerOptions& options) {
  const auto at_least_one = [](const char* name, auto value) -> Status {
    if (value >= 1) return {};
    return Error{Code::kInvalid, str("The option ", name, " is ", value, ", expected 1 or more.")};
  };
  PLUMB_TRY_STATUS(at_least_one("io_threads", options.io_threads));
  PLUMB_TRY_STATUS(at_least_one("worker_threads", options.worker_threads));
  PLUMB_TRY_STATUS(at_least_one("max_connections", options.max_connections));
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return Error{Code::kInvalid,
                 "TLS needs a certificate and a key, and only one of the two files is named."};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const HttpServerOptions& options,
                                                       HttpHandler& handler) {
  PLUMB_TRY_STATUS(check(options));
  TlsContext tls;
  if (!options.tls_certificate.empty()) {
    PLUMB_TRY(loaded, load_tls(options.tls_certificate, options.tls_key));
    tls = std::move(loaded);
  }
  try {
    auto server = std::make_unique<AsioHttpServer>(options, handler, std::move(tls));
    PLUMB_TRY_STATUS(server->open());
    server->start();
    return std::unique_ptr<HttpServer>(std::move(server));
  } catch (const std::system_error& error) {
    return Error{Code::kUnavailable, str("The server cannot start: ", error.what(), ".")};
  }
}

}  // namespace plumb
