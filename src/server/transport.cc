#include "server/transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/strand.hpp>
#include <utility>

namespace plumb {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::array<asio::const_buffer, 3> buffers(const Transport::Parts& parts) {
  return {asio::buffer(parts[0].data(), parts[0].size()),
          asio::buffer(parts[1].data(), parts[1].size()),
          asio::buffer(parts[2].data(), parts[2].size())};
}

void close_socket(tcp::socket& socket, bool reset) {
  error_code ignored;
  if (reset) socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(tcp::socket socket) : socket_(std::move(socket)) {}

  asio::any_io_executor executor() override { return socket_.get_executor(); }
  void handshake(Done done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done(true, 0); });
  }
  void read(std::span<char> into, Done done) override {
    socket_.async_read_some(asio::buffer(into.data(), into.size()),
                            [done = std::move(done)](const error_code& error, std::size_t size) {
                              done(!error, size);
                            });
  }
  void write(const Parts& parts, Done done) override {
    socket_.async_write_some(buffers(parts),
                             [done = std::move(done)](const error_code& error, std::size_t size) {
                               done(!error, size);
                             });
  }
  void finish(std::function<void()> done) override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    asio::post(socket_.get_executor(), std::move(done));
  }
  void close(bool reset) override { close_socket(socket_, reset); }

 private:
  tcp::socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(tcp::socket socket, SSL* session) : stream_(std::move(socket), session) {}

  asio::any_io_executor executor() override { return stream_.get_executor(); }
  void handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](const error_code& error) { done(!error, 0); });
  }

  void read(std::span<char> into, Done done) override {
    if (finished_) return read_raw(into, std::move(done));
    stream_.async_read_some(
        asio::buffer(into.data(), into.size()),
        [this, into, done = std::move(done)](const error_code& error, std::size_t size) mutable {
          // finish() ends a read that was under way; what comes is read below TLS.
          if (error && finished_) return read_raw(into, std::move(done));
          done(!error, size);
        });
  }

  void write(const Parts& parts, Done done) override {
    stream_.async_write_some(buffers(parts),
                             [done = std::move(done)](const error_code& error, std::size_t size) {
                               done(!error, size);
                             });
  }

  // The client's own farewell is taken for received: then OpenSSL sends ours and waits for nothing.
  void finish(std::function<void()> done) override {
    finished_ = true;
    SSL_set_shutdown(stream_.native_handle(), SSL_RECEIVED_SHUTDOWN);
    stream_.async_shutdown([this, done = std::move(done)](const error_code&) {
      error_code ignored;
      stream_.next_layer().shutdown(tcp::socket::shutdown_send, ignored);
      done();
    });
  }

  void close(bool reset) override { close_socket(stream_.next_layer(), reset); }

 private:
  void read_raw(std::span<char> into, Done done) {
    stream_.next_layer().async_read_some(
        asio::buffer(into.data(), into.size()),
        [done = std::move(done)](const error_code& error, std::size_t size) {
          done(!error, size);
        });
  }

  asio::ssl::stream<tcp::socket> stream_;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_transport(asio::io_context& io, int descriptor, ssl_ctx_st* tls) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int family = AF_INET;
  socklen_t size = sizeof family;
  ::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size);
  tcp::socket socket(asio::make_strand(io));
  error_code error;
  socket.assign(family == AF_INET6 ? tcp::v6() : tcp::v4(), descriptor, error);
  if (error) {
    ::close(descriptor);
    return nullptr;
  }
  if (tls == nullptr) return std::make_unique<PlainTransport>(std::move(socket));
  SSL* const session = SSL_new(tls);
  if (session == nullptr) return nullptr;
  return std::make_unique<TlsTransport>(std::move(socket), session);
}

}  // namespace plumb
