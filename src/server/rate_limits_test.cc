#include "server/rate_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/strings.h"

namespace plumb {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RateLimits::Time at(double s) {
  return RateLimits::Time(std::chrono::duration_cast<RateLimits::Time::duration>(
      std::chrono::duration<double>(1000 + s)));
}

ApiKeys keys_with(const std::vector<KeyLimits>& limits) {
  std::vector<ApiKeyOptions> options;
  for (const KeyLimits& limit : limits) {
    const std::string name = str("key", options.size());
    options.push_back({name, sha256_hex(name), {Scope::kInference}, limit});
  }
  auto keys = ApiKeys::create(options);
  EXPECT_TRUE(keys);
  return *keys;
}

TEST(RateLimits, WithoutLimitsEverythingIsAllowedAndNothingIsTold) {
  const ApiKeys keys = keys_with({{}});
  RateLimits limits(keys);
  std::vector<RateLimits::Decision> held;
  for (int i = 0; i < 1000; ++i) {
    held.push_back(limits.admit(i % 2 == 0 ? &keys.at(0) : nullptr, at(0)));
    ASSERT_TRUE(held.back().allowed);
    held.back().permit.charge(1 << 30, at(0));
  }
  HttpHeaders headers;
  append_openai_limits(held.front(), headers);
  append_anthropic_limits(held.front(), {}, headers);
  EXPECT_TRUE(headers.empty());
}

TEST(RateLimits, RequestsFillEvenlyOverAMinute) {
  const ApiKeys keys = keys_with({{0, 6, 0}});  // one every ten seconds
  RateLimits limits(keys);
  for (int i = 0; i < 6; ++i) {
    const auto decision = limits.admit(&keys.at(0), at(0));
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.requests.remaining, 5 - i);
    EXPECT_EQ(decision.requests.reset, seconds(10 * (i + 1)));
  }
  struct Case {
    double s;
    bool allowed;
    int retry_after_s;
  };
  const Case cases[] = {{0, false, 10}, {0.5, false, 10}, {9, false, 1},   {9.99, false, 1},
                        {10, true, 0},  {10, false, 10},  {25, true, 0},   {29, false, 1},
                        {30, true, 0},  {1000, true, 0},  {1000, true, 0}, {999, true, 0}};
  for (const Case& c : cases) {
    const auto decision = limits.admit(&keys.at(0), at(c.s));
    EXPECT_EQ(decision.allowed, c.allowed) << c.s;
    EXPECT_EQ(decision.retry_after_s, c.retry_after_s) << c.s;
    if (!c.allowed) {
      EXPECT_EQ(decision.message, "The API key \"key0\" may have 6 requests per minute.");
      EXPECT_EQ(decision.requests.limit, 6);
      EXPECT_EQ(decision.requests.remaining, 0);
    }
  }
}

TEST(RateLimits, TokensMayBeOverdrawnAndThenNobodyIsAdmitted) {
  const ApiKeys keys = keys_with({{0, 0, 600}});  // ten a second
  RateLimits limits(keys);
  auto first = limits.admit(&keys.at(0), at(0));
  EXPECT_EQ(first.tokens.remaining, 600);
  first.permit.charge(500, at(0));
  auto second = limits.admit(&keys.at(0), at(0));
  EXPECT_TRUE(second.allowed);
  EXPECT_EQ(second.tokens.remaining, 100);
  EXPECT_EQ(second.tokens.reset, seconds(50));
  second.permit.charge(400, at(0));  // 300 more than there are
  const auto third = limits.admit(&keys.at(0), at(10));
  EXPECT_FALSE(third.allowed);
  EXPECT_EQ(third.retry_after_s, 21);  // 200 missing, and one
  EXPECT_EQ(third.tokens.remaining, 0);
  EXPECT_EQ(third.message, "The API key \"key0\" may have 600 tokens per minute.");
  EXPECT_FALSE(limits.admit(&keys.at(0), at(30)).allowed);
  EXPECT_TRUE(limits.admit(&keys.at(0), at(10 + third.retry_after_s)).allowed);
}

TEST(RateLimits, ARefusedRequestIsNotCharged) {
  const ApiKeys keys = keys_with({{1, 6, 60}});
  RateLimits limits(keys);
  {
    auto held = limits.admit(&keys.at(0), at(0));
    for (int i = 0; i < 20; ++i) EXPECT_FALSE(limits.admit(&keys.at(0), at(0)).allowed);
    held.permit.charge(61, at(0));
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(limits.admit(&keys.at(0), at(1)).allowed);
  // Five of six requests are left.
  EXPECT_EQ(limits.admit(&keys.at(0), at(2)).requests.remaining, 4);
}

TEST(RateLimits, ParallelRequestsAreCountedUntilTheirPermitGoes) {
  const ApiKeys keys = keys_with({{2, 0, 0}});
  RateLimits limits(keys);
  auto first = limits.admit(&keys.at(0), at(0));
  auto second = limits.admit(&keys.at(0), at(0));
  const auto third = limits.admit(&keys.at(0), at(0));
  EXPECT_FALSE(third.allowed);
  EXPECT_EQ(third.retry_after_s, 1);
  EXPECT_EQ(third.message, "The API key \"key0\" may have 2 requests at the same time.");
  // A permit that is moved is still one.
  RateLimits::Permit moved(std::move(first.permit));
  first.permit = RateLimits::Permit();
  EXPECT_FALSE(limits.admit(&keys.at(0), at(0)).allowed);
  moved = std::move(second.permit);  // frees what it held
  auto fourth = limits.admit(&keys.at(0), at(0));
  EXPECT_TRUE(fourth.allowed);
  EXPECT_FALSE(limits.admit(&keys.at(0), at(0)).allowed);
}

// However the time until then is cut into refused attempts.
TEST(RateLimits, WhoWaitsAsLongAsToldIsAdmitted) {
  for (const int per_minute : {1, 7, 11, 59, 60, 61, 997}) {
    const ApiKeys keys = keys_with({{0, per_minute, 0}});
    RateLimits limits(keys);
    double now = 0;
    while (limits.admit(&keys.at(0), at(now)).allowed) now += 0.001;
    const int wait = limits.admit(&keys.at(0), at(now)).retry_after_s;
    bool admitted = false;
    for (int i = 1; i <= 1000 && !admitted; ++i) {
      admitted = limits.admit(&keys.at(0), at(now + wait * i / 1000.0)).allowed;
    }
    EXPECT_TRUE(admitted) << per_minute;
  }
}

TEST(RateLimits, KeysDoNotShare) {
  const ApiKeys keys = keys_with({{1, 1, 1}, {1, 1, 1}});
  RateLimits limits(keys);
  auto first = limits.admit(&keys.at(0), at(0));
  first.permit.charge(100, at(0));
  auto second = limits.admit(&keys.at(1), at(0));
  EXPECT_TRUE(second.allowed);
  EXPECT_EQ(second.tokens.remaining, 1);
}

TEST(RateLimits, NobodyIsToldToWaitForMoreThanADay) {
  const ApiKeys keys = keys_with({{0, 0, 1}});
  RateLimits limits(keys);
  limits.admit(&keys.at(0), at(0)).permit.charge(std::int64_t{1} << 50, at(0));
  EXPECT_EQ(limits.admit(&keys.at(0), at(1)).retry_after_s, 86400);
}

TEST(RateLimits, HeadersAreThoseThatClientsRead) {
  const ApiKeys keys = keys_with({{0, 60, 6000}});
  RateLimits limits(keys);
  limits.admit(&keys.at(0), at(0)).permit.charge(1050, at(0));
  const auto decision = limits.admit(&keys.at(0), at(0));
  HttpHeaders openai, anthropic;
  append_openai_limits(decision, openai);
  const HttpHeaders expected_openai = {
      {"x-ratelimit-limit-requests", "60"},     {"x-ratelimit-remaining-requests", "58"},
      {"x-ratelimit-reset-requests", "2s"},     {"x-ratelimit-limit-tokens", "6000"},
      {"x-ratelimit-remaining-tokens", "4950"}, {"x-ratelimit-reset-tokens", "10.5s"},
  };
  EXPECT_EQ(openai, expected_openai);
  append_anthropic_limits(decision, std::chrono::system_clock::time_point(seconds(1793862489)),
                          anthropic);
  const HttpHeaders expected_anthropic = {
      {"anthropic-ratelimit-requests-limit", "60"},
      {"anthropic-ratelimit-requests-remaining", "58"},
      {"anthropic-ratelimit-requests-reset", "2026-11-05T07:08:11Z"},
      {"anthropic-ratelimit-tokens-limit", "6000"},
      {"anthropic-ratelimit-tokens-remaining", "4950"},
      {"anthropic-ratelimit-tokens-reset", "2026-11-05T07:08:20Z"},  // rounded up
  };
  EXPECT_EQ(anthropic, expected_anthropic);
}

TEST(RateLimits, ResetsReadAsDurations) {
  const std::pair<std::int64_t, const char*> cases[] = {
      {0, "0ms"},           {20, "20ms"},        {999, "999ms"},          {1000, "1s"},
      {1500, "1.5s"},       {59999, "59.999s"},  {60000, "1m0s"},         {360000, "6m0s"},
      {432010, "7m12.01s"}, {3600000, "1h0m0s"}, {3661001, "1h1m1.001s"}, {90000000, "25h0m0s"},
  };
  for (const auto& [ms, text] : cases) EXPECT_EQ(reset_text(milliseconds(ms)), text);
}

TEST(RateLimits, ThreadsTogetherGetWhatOneWouldGet) {
  const ApiKeys keys = keys_with({{3, 500, 0}});
  RateLimits limits(keys);
  std::atomic<int> admitted{0}, inside{0};
  std::atomic<bool> crowded{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const auto decision = limits.admit(&keys.at(0), at(0));
        if (!decision.allowed) continue;
        if (++inside > 3) crowded = true;
        ++admitted;
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 500);
  EXPECT_FALSE(crowded);
  EXPECT_FALSE(limits.admit(&keys.at(0), at(0)).allowed);
}

}  // namespace
}  // namespace plumb
