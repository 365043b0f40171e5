// A server that does to each connection what a test says.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/strings.h"

namespace plumb::load {

// Each connection has a thread, which `serve` runs on. The destructor waits for all of them, so
// `serve` must return when its client has gone. Thread-safe.
class ScriptedServer {
 public:
  // One accepted connection.
  class Peer {
   public:
    explicit Peer(int fd) : fd_(fd) {}
    // Head and body of the next request; empty: the client went.
    std::string request() {
      std::string text;
      std::size_t whole = std::string::npos;
      while (text.size() < whole) {
        char bytes[4096];
        const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
        if (n <= 0) return "";
        text.append(bytes, static_cast<std::size_t>(n));
        const std::size_t head = text.find("\r\n\r\n");
        if (head == std::string::npos) continue;
        const std::size_t length = text.find("Content-Length: ");
        whole = head + 4 + (length < head ? std::stoul(text.substr(length + 16)) : 0);
      }
      return text;
    }
    // false: the client went.
    bool send(std::string_view bytes) {
      while (!bytes.empty()) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
      }
      return true;
    }
    void wait_until_gone() {
      while (!request().empty()) {
      }
    }

   private:
    int fd_;
  };

  explicit ScriptedServer(std::function<void(Peer&)> serve) : serve_(std::move(serve)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    PLUMB_CHECK(::bind(listener_, generic, size) == 0 && ::listen(listener_, 512) == 0);
    PLUMB_CHECK(::getsockname(listener_, generic, &size) == 0);
    port_ = ::ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~ScriptedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    for (std::thread& thread : serving_) thread.join();
    ::close(listener_);
  }
  std::string url() const { return str("http://127.0.0.1:", port_); }
  int connections() const { return connections_; }

 private:
  void accept_all() {
    for (int fd = ::accept(listener_, nullptr, nullptr); fd >= 0;
         fd = ::accept(listener_, nullptr, nullptr)) {
      ++connections_;
      serving_.emplace_back([this, fd] {
        Peer peer(fd);
        serve_(peer);
        ::close(fd);
      });
    }
  }

  std::function<void(Peer&)> serve_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::thread accepting_;
  std::vector<std::thread> serving_;
};

}  // namespace plumb::load
