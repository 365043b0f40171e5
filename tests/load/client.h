// A client: one request at a time, the next when the last is over.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "load/connection.h"
#include "load/exchange.h"
#include "load/loop.h"

namespace plumb::load {

struct ClientOptions {
  Target target;
  std::string key;
  std::chrono::milliseconds timeout{120000};  // of a whole request
};

// Keeps its connection where the server does, and makes a new one where it must: after a failure, a
// cancelled request, and around a slow one. Everything happens on the loop's thread.
// Thread-compatible.
class Client final : public Connection::Owner {
 public:
  struct Calls {
    std::function<std::optional<Ask>()> next;  // nullopt: no more
    std::function<void(Sample)> done;
    std::function<void(const Sample&)> first;  // a piece of the answer came, the first; may be null
    std::function<void()> over;                // the last call
  };

  // All it borrows outlives it.
  Client(Loop& loop, const ClientOptions& options, Calls calls);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void start();
  // Closes at once: the request under way counts as cancelled, and no other begins.
  void leave();

 private:
  void received(std::string_view bytes, Moment when) override;
  void closed(std::string_view why) override;
  void connect(bool slow);
  void timed_out();
  void finish();
  void rest();  // of a slow reader, between two reads

  Loop& loop_;
  const ClientOptions& options_;
  Calls calls_;
  std::unique_ptr<Connection> connection_;
  std::optional<Exchange> exchange_;  // under way
  bool slow_ = false, leaving_ = false;
  std::optional<Loop::Timer> timeout_;
  std::optional<Loop::Timer> rest_;  // of a slow reader, or before the next request
};

}  // namespace plumb::load
