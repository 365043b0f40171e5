#include "server/raw_client_for_tests.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace plumb {
namespace {

template <class Number>
bool parse(std::string_view text, Number& out, int base = 10) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

}  // namespace

std::string RawReply::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

RawClient::RawClient(std::uint16_t port, const std::string& address) { connect(port, address, 0); }

RawClient::RawClient(SlowReader slow, std::uint16_t port) {
  connect(port, "127.0.0.1", slow.receive_buffer);
}

RawClient::RawClient(Tls, std::uint16_t port, const std::string& address) {
  connect(port, address, 0);
  if (connected()) start_tls();
}

RawClient::~RawClient() { close(); }

RawClient::RawClient(RawClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      context_(std::exchange(other.context_, nullptr)),
      session_(std::exchange(other.session_, nullptr)),
      buffer_(std::move(other.buffer_)),
      ended_(other.ended_),
      broken_(other.broken_) {}

void RawClient::connect(std::uint16_t port, const std::string& address, int receive_buffer) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(port);
  const bool is_v6 = ::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1;
  PLUMB_CHECK(is_v6 || ::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1);
  fd_ = ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return;
  if (receive_buffer > 0) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const sockaddr* const target =
      is_v6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
  if (::connect(fd_, target, is_v6 ? sizeof v6 : sizeof v4) != 0) close();
}

void RawClient::start_tls() {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own writes raise it
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  context_ = SSL_CTX_new(TLS_client_method());
  PLUMB_CHECK(context_ != nullptr);
  session_ = SSL_new(context_);
  PLUMB_CHECK(session_ != nullptr && SSL_set_fd(session_, fd_) == 1);
  const auto deadline = Clock::now() + kPatience;
  int result = SSL_connect(session_);
  while (result != 1 && wait_tls(result, deadline)) result = SSL_connect(session_);
  if (result != 1) close();
}

// After a call of OpenSSL that gave `result`. True: it is worth trying again.
bool RawClient::wait_tls(int result, Clock::time_point deadline) {
  const int error = SSL_get_error(session_, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) return wait(POLLIN, deadline);
  if (error == SSL_ERROR_WANT_WRITE) return wait(POLLOUT, deadline);
  return false;
}

bool RawClient::wait(short events, Clock::time_point deadline) const {
  const auto left = std::chrono::ceil<Timeout>(deadline - Clock::now()).count();
  pollfd poll_for{fd_, events, 0};
  return ::poll(&poll_for, 1, static_cast<int>(std::max<Timeout::rep>(left, 0))) > 0;
}

bool RawClient::send(std::string_view bytes, Timeout timeout) {
  const auto deadline = Clock::now() + timeout;
  while (!bytes.empty()) {
    std::ptrdiff_t sent = 0;
    bool again = false;
    if (session_ != nullptr) {
      sent = SSL_write(session_, bytes.data(), static_cast<int>(bytes.size()));
      again = sent <= 0 && wait_tls(static_cast<int>(sent), deadline);
    } else {
      sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      again = sent < 0 && errno == EAGAIN && wait(POLLOUT, deadline);
    }
    if (again) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RawClient::request(std::string_view method, std::string_view target, std::string_view body,
                        std::string_view more_headers) {
  std::string text = str(method, " ", target, " HTTP/1.1\r\nHost: test\r\n", more_headers);
  if (!body.empty()) text += str("Content-Length: ", body.size(), "\r\n");
  text += "\r\n";
  text += body;
  return send(text);
}

// False: the end, or nothing in time.
bool RawClient::fill(Clock::time_point deadline) {
  if (fd_ < 0 || ended_) return false;
  std::array<char, 64 << 10> bytes;
  std::ptrdiff_t got = 0;
  if (session_ != nullptr) {
    while ((got = SSL_read(session_, bytes.data(), static_cast<int>(bytes.size()))) <= 0) {
      const int error = SSL_get_error(session_, static_cast<int>(got));
      broken_ = error != SSL_ERROR_ZERO_RETURN;
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) break;
      if (!wait_tls(static_cast<int>(got), deadline)) return false;
    }
  } else {
    if (!wait(POLLIN, deadline)) return false;
    got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    broken_ = got < 0;
  }
  if (got <= 0) {
    ended_ = true;
    return false;
  }
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> RawClient::take(std::size_t size, Clock::time_point deadline) {
  while (buffer_.size() < size) {
    if (!fill(deadline)) return std::nullopt;
  }
  std::string out = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return out;
}

// Without its CRLF.
std::optional<std::string> RawClient::take_line(Clock::time_point deadline) {
  std::size_t end;
  while ((end = buffer_.find("\r\n")) == buffer_.npos) {
    if (!fill(deadline)) return std::nullopt;
  }
  std::string out = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return out;
}

RawReply RawClient::take_head(Clock::time_point deadline) {
  RawReply reply;
  const auto status_line = take_line(deadline);
  if (!status_line || !status_line->starts_with("HTTP/1.1 ")) return {};
  if (!parse(std::string_view(*status_line).substr(9, 3), reply.status)) return {};
  for (;;) {
    const auto line = take_line(deadline);
    if (!line) return {};
    if (line->empty()) return reply;
    const std::size_t colon = line->find(": ");
    if (colon == line->npos) return {};
    reply.headers.emplace_back(ascii_lower(line->substr(0, colon)), line->substr(colon + 2));
  }
}

std::optional<std::string> RawClient::take_chunk(Clock::time_point deadline) {
  const auto line = take_line(deadline);
  std::size_t size = 0;
  if (!line || !parse(*line, size, 16)) return std::nullopt;
  auto data = take(size, deadline);
  if (!data || take(2, deadline) != "\r\n") return std::nullopt;
  return data;
}

RawReply RawClient::read_head(Timeout timeout) { return take_head(Clock::now() + timeout); }

std::optional<std::string> RawClient::read_chunk(Timeout timeout) {
  return take_chunk(Clock::now() + timeout);
}

RawReply RawClient::read_reply(bool to_head, Timeout timeout) {
  const auto deadline = Clock::now() + timeout;
  RawReply reply = take_head(deadline);
  if (reply.status == 0) return reply;
  std::size_t length = 0;
  if (to_head || reply.status < 200 || reply.status == 204 || reply.status == 304) {
    reply.complete = true;
  } else if (reply.header("transfer-encoding") == "chunked") {
    while (const auto chunk = take_chunk(deadline)) {
      if (chunk->empty()) {
        reply.complete = true;
        break;
      }
      reply.body += *chunk;
      ++reply.chunks;
    }
  } else if (parse(reply.header("content-length"), length)) {
    while (buffer_.size() < length && fill(deadline)) continue;
    reply.body = buffer_.substr(0, length);
    buffer_.erase(0, reply.body.size());
    reply.complete = reply.body.size() == length;
  } else {
    while (fill(deadline)) continue;
    reply.body = std::exchange(buffer_, {});
    reply.complete = ended_orderly();
  }
  return reply;
}

std::string RawClient::read_some(Timeout timeout) {
  if (buffer_.empty()) fill(Clock::now() + timeout);
  return std::exchange(buffer_, {});
}

bool RawClient::closed(Timeout timeout) {
  const auto deadline = Clock::now() + timeout;
  while (fill(deadline)) buffer_.clear();
  return ended_;
}

void RawClient::finish_sending() {
  if (session_ != nullptr) SSL_shutdown(session_);
  ::shutdown(fd_, SHUT_WR);
}

void RawClient::close() {
  if (session_ != nullptr) SSL_free(std::exchange(session_, nullptr));
  if (context_ != nullptr) SSL_CTX_free(std::exchange(context_, nullptr));
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void RawClient::reset() {
  const linger drop{1, 0};
  if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &drop, sizeof drop);
  close();
}

}  // namespace plumb
