#include "server/rate_limits.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "server/time_text.h"

namespace plumb {
namespace {

using Time = RateLimits::Time;
using Seconds = std::chrono::duration<double>;
using std::chrono::milliseconds;

constexpr double kRounding = 1e-9;      // of sums that should have come to a whole number
constexpr double kLongestWait = 86400;  // seconds; nobody is told to wait longer

// Holds at most `limit`, gains as much in a minute. A limit of 0 limits nothing.
class Bucket {
 public:
  explicit Bucket(std::int64_t limit) : limit_(limit), level_(static_cast<double>(limit)) {}

  void fill(Time now) {
    if (filled_ && now > *filled_) {
      level_ = std::min(static_cast<double>(limit_),
                        level_ + per_second() * Seconds(now - *filled_).count());
    }
    // Threads read their clocks before they come here: time does not run backwards.
    if (!filled_ || now > *filled_) filled_ = now;
  }
  bool has_one() const { return limit_ == 0 || level_ + kRounding >= 1; }
  void take(std::int64_t amount) {
    if (limit_ > 0) level_ -= static_cast<double>(amount);
  }
  double seconds_to(double level) const {
    return std::max(0.0, (level - level_ - kRounding) / per_second());
  }

  LimitState state() const {
    if (limit_ == 0) return {};
    const double wait = seconds_to(static_cast<double>(limit_));
    return {limit_, static_cast<std::int64_t>(std::max(0.0, std::floor(level_ + kRounding))),
            milliseconds(static_cast<std::int64_t>(std::ceil(wait * 1000)))};
  }

 private:
  double per_second() const { return static_cast<double>(limit_) / 60; }

  std::int64_t limit_;
  double level_;
  std::optional<Time> filled_;
};

struct Account {
  explicit Account(const ApiKey& key)
      : name(key.name),
        limits(key.limits),
        requests(key.limits.requests_per_minute),
        tokens(key.limits.tokens_per_minute) {}

  std::string name;
  KeyLimits limits;
  Bucket requests, tokens;
  int running = 0;
};

void refuse(RateLimits::Decision& decision, const Account& account, std::string limit,
            double seconds) {
  decision.allowed = false;
  decision.message = str("The API key \"", account.name, "\" may have ", limit, ".");
  decision.retry_after_s = static_cast<int>(std::clamp(std::ceil(seconds), 1.0, kLongestWait));
}

void append_limit(const char* prefix, const char* kind, const LimitState& state,
                  HttpHeaders& headers) {
  if (state.limit == 0) return;
  headers.emplace_back(str(prefix, "limit-", kind), std::to_string(state.limit));
  headers.emplace_back(str(prefix, "remaining-", kind), std::to_string(state.remaining));
  headers.emplace_back(str(prefix, "reset-", kind), reset_text(state.reset));
}

}  // namespace

struct RateLimits::Impl {
  std::mutex mutex;
  std::vector<Account> accounts;
};

RateLimits::RateLimits(const ApiKeys& keys) : impl_(std::make_unique<Impl>()) {
  for (std::size_t i = 0; i < keys.size(); ++i) impl_->accounts.emplace_back(keys.at(i));
}

RateLimits::~RateLimits() = default;

RateLimits::Decision RateLimits::admit(const ApiKey* key, Time now) {
  Decision decision;
  if (key == nullptr) return decision;
  const std::lock_guard lock(impl_->mutex);
  PLUMB_CHECK(key->index < impl_->accounts.size());
  Account& account = impl_->accounts[key->index];
  const KeyLimits& limits = account.limits;
  account.requests.fill(now);
  account.tokens.fill(now);
  if (limits.max_parallel > 0 && account.running >= limits.max_parallel) {
    refuse(decision, account, str(limits.max_parallel, " requests at the same time"), 1);
  } else if (!account.requests.has_one()) {
    refuse(decision, account, str(limits.requests_per_minute, " requests per minute"),
           account.requests.seconds_to(1));
  } else if (!account.tokens.has_one()) {
    refuse(decision, account, str(limits.tokens_per_minute, " tokens per minute"),
           account.tokens.seconds_to(1));
  } else {
    account.requests.take(1);
    ++account.running;
    decision.permit = Permit(this, key->index);
  }
  decision.requests = account.requests.state();
  decision.tokens = account.tokens.state();
  return decision;
}

RateLimits::Permit::Permit(Permit&& other) noexcept
    : limits_(std::exchange(other.limits_, nullptr)), index_(other.index_) {}

RateLimits::Permit& RateLimits::Permit::operator=(Permit&& other) noexcept {
  Permit old(std::move(*this));
  limits_ = std::exchange(other.limits_, nullptr);
  index_ = other.index_;
  return *this;
}

RateLimits::Permit::~Permit() {
  if (limits_ == nullptr) return;
  const std::lock_guard lock(limits_->impl_->mutex);
  --limits_->impl_->accounts[index_].running;
}

void RateLimits::Permit::charge(std::int64_t tokens, Time now) {
  if (limits_ == nullptr) return;
  const std::lock_guard lock(limits_->impl_->mutex);
  Account& account = limits_->impl_->accounts[index_];
  account.tokens.fill(now);
  account.tokens.take(tokens);
}

void append_openai_limits(const RateLimits::Decision& decision, HttpHeaders& headers) {
  append_limit("x-ratelimit-", "requests", decision.requests, headers);
  append_limit("x-ratelimit-", "tokens", decision.tokens, headers);
}

void append_anthropic_limits(const RateLimits::Decision& decision,
                             std::chrono::system_clock::time_point now, HttpHeaders& headers) {
  const std::pair<const char*, const LimitState*> limits[] = {{"requests", &decision.requests},
                                                              {"tokens", &decision.tokens}};
  for (const auto& [kind, state] : limits) {
    if (state->limit == 0) continue;
    const std::string prefix = str("anthropic-ratelimit-", kind);
    headers.emplace_back(prefix + "-limit", std::to_string(state->limit));
    headers.emplace_back(prefix + "-remaining", std::to_string(state->remaining));
    headers.emplace_back(
        prefix + "-reset",
        rfc3339_seconds(std::chrono::ceil<std::chrono::seconds>(now + state->reset)));
  }
}

std::string reset_text(milliseconds duration) {
  const std::int64_t ms = duration.count();
  if (ms < 1000) return str(ms, "ms");
  const std::int64_t hours = ms / 3'600'000, minutes = ms / 60'000 % 60;
  std::string out;
  if (hours > 0) out += str(hours, "h");
  if (hours > 0 || minutes > 0) out += str(minutes, "m");
  return out + str(static_cast<double>(ms % 60'000) / 1000, "s");
}

}  // namespace plumb
