// Many clients at once, until a time is over.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "load/client.h"
#include "load/loop.h"

namespace plumb::load {

// Thread-compatible.
class Crowd {
 public:
  struct Calls {
    std::function<std::optional<Ask>(int client, std::int64_t turn)> next;  // nullopt: it goes home
    std::function<void(Sample)> done;
    std::function<void()> over;  // the last one went home; may be null
  };

  Crowd(Loop& loop, const ClientOptions& options, int clients, Calls calls);
  void start();
  void leave();  // as Client::leave()

 private:
  Calls calls_;
  std::vector<std::int64_t> turns_;
  std::vector<std::unique_ptr<Client>> clients_;
  int left_;
};

// Runs the asks one after another, each to its end; the first that fails is the error.
Status ask_all(const ClientOptions& options, std::vector<Ask> asks);

}  // namespace plumb::load
