// A connected socket, plain or with TLS over it, as one kind of thing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

struct ssl_ctx_st;  // OpenSSL's SSL_CTX
namespace boost::asio {
class any_io_executor;
class io_context;
}  // namespace boost::asio

namespace plumb {

// Every function is called, and calls back, on executor(): a strand of its own. Nothing calls back
// from inside the call that started it. At most one read and one write at a time; what they are
// given must stay until they call back, which close() makes them do soon. Whoever owns the
// transport must stay until then, too.
class Transport {
 public:
  // ok: so many bytes, at least one. Not ok: the other side sends nothing more, or the connection
  // is broken or was closed.
  using Done = std::function<void(bool ok, std::size_t size)>;
  using Parts = std::array<std::string_view, 3>;  // sent one after the other, any may be empty

  virtual ~Transport() = default;
  virtual boost::asio::any_io_executor executor() = 0;
  // Once, before anything else; ok when both sides can speak.
  virtual void handshake(Done done) = 0;
  virtual void read(std::span<char> into, Done done) = 0;
  // Some of the bytes of `parts`, in order: what the socket takes at once. Not all may be empty.
  virtual void write(const Parts& parts, Done done) = 0;
  // Tells the other side that nothing more comes; no write may be under way. What is read from now
  // on may be unreadable and is to be thrown away; it is read so that what was written is not lost
  // by closing too early.
  virtual void finish(std::function<void()> done) = 0;
  // `reset`: the other side is to see a broken connection, and what is not sent yet is dropped.
  virtual void close(bool reset) = 0;
};

// Takes over `descriptor`, a connected non-blocking socket, also when it fails (nullptr: the system
// has no memory for it). `tls`: nullptr for a plain connection; must outlive it.
std::unique_ptr<Transport> make_transport(boost::asio::io_context& io, int descriptor,
                                          ssl_ctx_st* tls);

}  // namespace plumb
