// How much each API key may use in a minute and at the same time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "server/api_keys.h"
#include "server/http.h"

namespace plumb {

// One limit as the client is told of it. A limit that does not exist has limit 0.
struct LimitState {
  std::int64_t limit = 0, remaining = 0;
  std::chrono::milliseconds reset{0};  // until all of it is there again
};

// Buckets that fill evenly and hold a minute's worth. A request is charged when it is admitted; its
// tokens are charged when they are known, which may be more than is there: then nobody is admitted
// until the bucket has filled above zero. Thread-safe; time is the caller's.
class RateLimits {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The place of one admitted request among its key's parallel ones; destroying it frees the place.
  // Thread-compatible; must not outlive the limits.
  class Permit {
   public:
    Permit() = default;  // of a request that nothing limits
    Permit(Permit&& other) noexcept;
    Permit& operator=(Permit&& other) noexcept;
    ~Permit();
    // May be called several times, with what was used since.
    void charge(std::int64_t tokens, Time now);

   private:
    friend class RateLimits;
    explicit Permit(RateLimits* limits, std::size_t index) : limits_(limits), index_(index) {}
    RateLimits* limits_ = nullptr;
    std::size_t index_ = 0;
  };

  struct Decision {
    bool allowed = true;
    Permit permit;          // with allowed
    std::string message;    // else: a sentence that says which limit
    int retry_after_s = 0;  // else: at least 1
    LimitState requests, tokens;
  };

  explicit RateLimits(const ApiKeys& keys);
  ~RateLimits();
  RateLimits(const RateLimits&) = delete;
  RateLimits& operator=(const RateLimits&) = delete;

  // null: nobody's request, which nothing limits. Else a key of those given to the constructor.
  Decision admit(const ApiKey* key, Time now);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "x-ratelimit-limit-requests: 60" and so on, for the limits that exist. Retry-After is not among
// them: it comes with the refusal.
void append_openai_limits(const RateLimits::Decision& decision, HttpHeaders& headers);
// "anthropic-ratelimit-requests-limit: 60" and so on. `now`: to say when the limits reset.
void append_anthropic_limits(const RateLimits::Decision& decision,
                             std::chrono::system_clock::time_point now, HttpHeaders& headers);

// "6m0s", "1.5s", "20ms".
std::string reset_text(std::chrono::milliseconds duration);

}  // namespace plumb
