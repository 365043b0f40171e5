#include "load/client.h"

#include <utility>

#include "base/strings.h"

namespace plumb::load {
namespace {

// A slow reader: about 50 KB/s.
constexpr int kSlowBuffer = 4096;
constexpr std::size_t kSlowRead = 1024;
constexpr std::chrono::milliseconds kSlowRest{20};
// After a failure, so that a server that is gone is not asked a thousand times in a second.
constexpr std::chrono::milliseconds kAfterFailure{100};

}  // namespace

Client::Client(Loop& loop, const ClientOptions& options, Calls calls)
    : loop_(loop), options_(options), calls_(std::move(calls)) {}

Client::~Client() {
  if (timeout_) loop_.cancel(*timeout_);
  if (rest_) loop_.cancel(*rest_);
}

void Client::connect(bool slow) {
  slow_ = slow;
  Connection::Options options;
  if (slow) options = {kSlowBuffer, kSlowRead};
  connection_ = std::make_unique<Connection>(loop_, options_.target, options, *this);
}

void Client::start() {
  const std::optional<Ask> ask = leaving_ ? std::nullopt : calls_.next();
  if (!ask) {
    connection_.reset();
    return calls_.over();
  }
  exchange_.emplace(*ask, now());
  if (!connection_ || slow_ != ask->slow) connect(ask->slow);
  timeout_ = loop_.after(options_.timeout, [this] { timed_out(); });
  connection_->send(http_request(options_.target, "POST", ask->path, ask->body, options_.key));
}

void Client::leave() {
  leaving_ = true;
  if (!exchange_) return;  // it is over, or between two requests
  exchange_->fail(Ending::kCancelled, "");
  finish();
}

void Client::received(std::string_view bytes, Moment when) {
  if (!exchange_) return connection_.reset();  // between two requests nothing may come
  const bool any = exchange_->sample().first_ms.has_value();
  if (!exchange_->take(bytes, when)) return finish();
  if (!any && exchange_->sample().first_ms && calls_.first) calls_.first(exchange_->sample());
  if (slow_) rest();
}

void Client::rest() {
  connection_->pause(true);
  rest_ = loop_.after(kSlowRest, [this] {
    rest_.reset();
    connection_->pause(false);
  });
}

void Client::closed(std::string_view why) {
  if (!exchange_) return connection_.reset();  // the server may close an idle connection
  const bool connected = connection_->connected();
  exchange_->fail(
      connected ? Ending::kCut : Ending::kConnect,
      why.empty() ? "The server closed the connection before the reply's end." : std::string(why));
  finish();
}

void Client::timed_out() {
  timeout_.reset();
  exchange_->fail(Ending::kTimeout,
                  str("The reply was not complete after ", options_.timeout.count(), " ms."));
  finish();
}

void Client::finish() {
  if (timeout_) loop_.cancel(*std::exchange(timeout_, std::nullopt));
  if (rest_) loop_.cancel(*std::exchange(rest_, std::nullopt));
  if (!exchange_->reusable()) connection_.reset();
  Sample sample = exchange_->take_sample();
  exchange_.reset();
  const bool failed = is_failure(sample.ending);
  calls_.done(std::move(sample));
  rest_ = loop_.after(failed ? kAfterFailure : std::chrono::milliseconds(0), [this] {
    rest_.reset();
    start();
  });
}

}  // namespace plumb::load
