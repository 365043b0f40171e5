// One TCP connection of a client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "load/loop.h"

namespace plumb::load {

// Where the server is.
struct Target {
  std::string authority;  // "127.0.0.1:8080", for Host
  std::string prefix;     // of every path; empty, or begins with '/' and does not end with one
  std::string address;    // a sockaddr's bytes
};
// "http://host:port/prefix"; kInvalid says what is wrong with it, kUnavailable: no such host.
Result<Target> parse_target(std::string_view url);

// Connects at once, sends what it is given, and tells its owner what comes. The owner may destroy
// it in either call, or at any time: that closes the socket. Thread-compatible.
class Connection final : public Loop::Watcher {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void received(std::string_view bytes, Moment when) = 0;
    // Once: the other side closed (`why` is empty), or it broke. Nothing follows.
    virtual void closed(std::string_view why) = 0;
  };
  struct Options {
    int receive_buffer = 0;          // of the kernel; 0: its own choice
    std::size_t read_bytes = 16384;  // at once
  };

  Connection(Loop& loop, const Target& target, const Options& options, Owner& owner);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(std::string_view bytes);
  void pause(bool paused);  // while paused nothing is read
  bool connected() const { return connected_; }
  // Closing sends a reset, so that the port is free again at once.
  void reset_on_close();

 private:
  void ready(std::uint32_t events) override;
  void update();
  bool flush();  // false: it broke
  void end(std::string_view why);

  Loop& loop_;
  const Options options_;
  Owner& owner_;
  int fd_ = -1;
  bool connected_ = false, paused_ = false;
  std::string out_;      // not sent yet
  std::string failure_;  // it could not even begin to connect
  std::optional<Loop::Timer> failed_timer_;
};

}  // namespace plumb::load
