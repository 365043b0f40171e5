#include "load/connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/strings.h"

namespace plumb::load {
namespace {

std::string failure(std::string_view doing) { return str(doing, ": ", std::strerror(errno)); }

Result<std::string> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found)) {
    return Error{Code::kUnavailable, str("Could not find the host \"", host, "\" with port ", port,
                                         ": ", ::gai_strerror(error), ".")};
  }
  const char* bytes = reinterpret_cast<const char*>(found->ai_addr);
  std::string address(bytes, found->ai_addrlen);
  ::freeaddrinfo(found);
  return address;
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

Result<Target> parse_target(std::string_view url) {
  const Error wrong{Code::kInvalid, str("The URL is \"", url, "\", expected http://host:port.")};
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return wrong;
  url.remove_prefix(kScheme.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  const std::size_t slash = url.find('/');
  Target target;
  target.authority = std::string(url.substr(0, slash));
  if (slash != url.npos) target.prefix = std::string(url.substr(slash));
  const std::size_t bracket = target.authority.find(']');  // [::1]:8080
  const std::size_t colon = target.authority.find(':', bracket == std::string::npos ? 0 : bracket);
  std::string host = target.authority.substr(0, colon);
  const std::string port = colon == std::string::npos ? "80" : target.authority.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || port.empty()) return wrong;
  PLUMB_TRY(address, resolve(host, port));
  target.address = address;
  return target;
}

Connection::Connection(Loop& loop, const Target& target, const Options& options, Owner& owner)
    : loop_(loop), options_(options), owner_(owner) {
  const auto* address = reinterpret_cast<const sockaddr*>(target.address.data());
  fd_ = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    failure_ = failure("There is no socket");
  } else {
    set_option(fd_, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options_.receive_buffer > 0)
      set_option(fd_, SOL_SOCKET, SO_RCVBUF, options_.receive_buffer);
    if (::connect(fd_, address, static_cast<socklen_t>(target.address.size())) != 0 &&
        errno != EINPROGRESS) {
      failure_ = failure("Could not connect");
    }
  }
  if (!failure_.empty()) {
    // The owner is told as of every failure: not from inside its own call.
    failed_timer_ = loop_.at(now(), [this] { end(std::string(failure_)); });
    return;
  }
  loop_.watch(fd_, EPOLLIN | EPOLLOUT, *this);
}

Connection::~Connection() {
  if (failed_timer_) loop_.cancel(*failed_timer_);
  if (fd_ < 0) return;
  loop_.forget(fd_);
  ::close(fd_);
}

void Connection::reset_on_close() {
  const linger reset{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

void Connection::send(std::string_view bytes) {
  out_.append(bytes);
  // What breaks here is found again, and told, when the socket is looked at next.
  if (connected_) flush();
  update();
}

void Connection::pause(bool paused) {
  paused_ = paused;
  update();
}

void Connection::update() {
  if (!failure_.empty()) return;
  const std::uint32_t in = paused_ ? 0u : static_cast<std::uint32_t>(EPOLLIN);
  const bool writes = !connected_ || !out_.empty();
  loop_.change(fd_, in | (writes ? static_cast<std::uint32_t>(EPOLLOUT) : 0u));
}

bool Connection::flush() {
  while (!out_.empty()) {
    const ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    out_.erase(0, static_cast<std::size_t>(n));
  }
  return true;
}

void Connection::end(std::string_view why) { owner_.closed(why); }

// Each way out of it calls the owner last, who may destroy this object.
void Connection::ready(std::uint32_t events) {
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return end(str("Could not connect: ", std::strerror(error)));
    if ((events & EPOLLOUT) == 0) return;
    connected_ = true;
  }
  // A server that answers and closes before it has read everything: what it answered comes first.
  const bool broke = (events & EPOLLOUT) != 0 && !flush();
  if (broke) out_.clear();
  update();
  if (paused_ && (events & (EPOLLERR | EPOLLHUP)) == 0) return;
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
  std::string bytes(options_.read_bytes, '\0');
  const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return end(failure("The connection broke"));
  if (n == 0) return end("");
  owner_.received(std::string_view(bytes).substr(0, static_cast<std::size_t>(n)), now());
}

}  // namespace plumb::load
