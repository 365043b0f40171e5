#include "load/flood.h"

#include <algorithm>
#include <utility>

#include "load/exchange.h"
#include "load/http_reader.h"

namespace plumb::load {

constexpr std::size_t kMostMalformed = 5;

// Tells the flood of its end from a timer, so that it may be destroyed there.
class Flood::Attempt final : public Connection::Owner {
 public:
  Attempt(Flood& flood, std::size_t slot)
      : flood_(flood),
        slot_(slot),
        begun_(now()),
        connection_(std::make_unique<Connection>(flood.loop_, flood.options_.target,
                                                 Connection::Options{}, *this)) {
    connection_->send(http_request(flood.options_.target, "GET", flood.options_.path));
    timer_ = flood.loop_.after(flood.options_.limit, [this] {
      ++flood_.result_.late;
      flood_.end(slot_);
    });
  }
  ~Attempt() override { flood_.loop_.cancel(timer_); }

 private:
  void received(std::string_view bytes, Moment) override {
    std::string body;
    switch (http_.push(bytes, body)) {
      case HttpReader::State::kDone:
        ++flood_.result_.statuses[http_.status()];
        return over();
      case HttpReader::State::kBroken:
        if (flood_.result_.malformed.size() < kMostMalformed)
          flood_.result_.malformed.push_back(http_.error());
        return over();
      case HttpReader::State::kHead:
      case HttpReader::State::kBody:
        return;
    }
  }

  void closed(std::string_view) override {
    ++(connection_->connected() ? flood_.result_.closed : flood_.result_.refused);
    over();
  }

  void over() {
    flood_.result_.ms.push_back(ms_between(begun_, now()));
    // The port must be free again at once: there are fewer of them than attempts in a minute.
    connection_->reset_on_close();
    connection_.reset();
    flood_.loop_.cancel(timer_);
    timer_ = flood_.loop_.at(now(), [this] { flood_.end(slot_); });
  }

  Flood& flood_;
  const std::size_t slot_;
  const Moment begun_;
  HttpReader http_;
  std::unique_ptr<Connection> connection_;
  Loop::Timer timer_;
};

Flood::Flood(Loop& loop, const Options& options, std::function<void()> over)
    : loop_(loop), options_(options), over_(std::move(over)) {}

Flood::~Flood() = default;

void Flood::start() {
  slots_.resize(
      static_cast<std::size_t>(std::min<std::int64_t>(options_.parallel, options_.attempts)));
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) begin(slot);
}

void Flood::begin(std::size_t slot) {
  slots_[slot].reset();
  if (begun_ == options_.attempts) return;
  ++begun_;
  slots_[slot] = std::make_unique<Attempt>(*this, slot);
}

void Flood::end(std::size_t slot) {
  begin(slot);
  if (++ended_ == options_.attempts) over_();
}

}  // namespace plumb::load
