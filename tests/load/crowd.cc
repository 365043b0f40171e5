#include "load/crowd.h"

#include <utility>

#include "base/strings.h"

namespace plumb::load {

Crowd::Crowd(Loop& loop, const ClientOptions& options, int clients, Calls calls)
    : calls_(std::move(calls)), turns_(static_cast<std::size_t>(clients)), left_(clients) {
  for (int i = 0; i < clients; ++i) {
    Client::Calls c;
    c.next = [this, i] { return calls_.next(i, turns_[static_cast<std::size_t>(i)]++); };
    c.done = [this](Sample sample) { calls_.done(std::move(sample)); };
    c.over = [this] {
      if (--left_ == 0 && calls_.over) calls_.over();
    };
    clients_.push_back(std::make_unique<Client>(loop, options, std::move(c)));
  }
}

void Crowd::start() {
  for (const auto& client : clients_) client->start();
}

void Crowd::leave() {
  for (const auto& client : clients_) client->leave();
}

Status ask_all(const ClientOptions& options, std::vector<Ask> asks) {
  Loop loop;
  Status status;
  const auto next = [&](int, std::int64_t turn) -> std::optional<Ask> {
    const auto i = static_cast<std::size_t>(turn);
    if (!status || i >= asks.size()) return std::nullopt;
    return asks[i];
  };
  const auto done = [&](const Sample& sample) {
    if (is_failure(sample.ending) && status)
      status = Error{Code::kUnavailable, str("A first request failed: ", sample.why)};
  };
  Crowd one(loop, options, 1, {next, done, [&] { loop.stop(); }});
  one.start();
  loop.run();
  return status;
}

}  // namespace plumb::load
