#include "load/fetch.h"

#include "base/strings.h"
#include "load/exchange.h"
#include "load/http_reader.h"
#include "load/loop.h"

namespace plumb::load {
namespace {

class Fetch final : public Connection::Owner {
 public:
  Fetch(Loop& loop, const Target& target) : loop_(loop), connection_(loop, target, {}, *this) {}
  void send(const std::string& request) { connection_.send(request); }

  const HttpReader& response() const { return http_; }
  std::string body;
  std::string why = "there was no answer in time";

 private:
  void received(std::string_view bytes, Moment) override {
    const auto state = http_.push(bytes, body);
    if (state != HttpReader::State::kDone && state != HttpReader::State::kBroken) return;
    why = http_.error();
    loop_.stop();
  }
  void closed(std::string_view reason) override {
    why = reason.empty() ? "the connection was closed" : std::string(reason);
    loop_.stop();
  }

  Loop& loop_;
  HttpReader http_;
  Connection connection_;
};

}  // namespace

Result<std::string> fetch(const Target& target, std::string_view path, std::string_view key,
                          std::chrono::milliseconds timeout) {
  Loop loop;
  Fetch fetch(loop, target);
  fetch.send(http_request(target, "GET", path, "", key));
  loop.after(timeout, [&loop] { loop.stop(); });
  loop.run();
  if (fetch.response().state() != HttpReader::State::kDone) {
    return Error{Code::kUnavailable, str("GET ", path, " failed: ", fetch.why)};
  }
  if (fetch.response().status() != 200) {
    return Error{Code::kUnavailable, str("GET ", path, " was answered with status ",
                                         fetch.response().status(), ", expected 200.")};
  }
  return std::move(fetch.body);
}

}  // namespace plumb::load
