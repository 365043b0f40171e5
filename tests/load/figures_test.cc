#include "load/figures.h"

#include <gtest/gtest.h>

#include <numeric>

namespace plumb::load {
namespace {

TEST(Figures, QuantilesAreValuesThatWereSeen) {
  std::vector<double> values(100);
  std::iota(values.rbegin(), values.rend(), 1);
  EXPECT_EQ(quantile(values, 0.5), 50);
  EXPECT_EQ(quantile(values, 0.95), 95);
  EXPECT_EQ(quantile(values, 0.99), 99);
  EXPECT_EQ(quantile(values, 1), 100);
  EXPECT_EQ(quantile({7}, 0.5), 7);
  EXPECT_EQ(quantile({}, 0.5), 0);
}

Sample complete(double first_ms, std::vector<double> gaps) {
  Sample sample;
  sample.status = 200;
  sample.first_ms = first_ms;
  for (const double ms : gaps) sample.gaps.push_back({{}, ms});
  sample.usage = {10, 4, 3};
  return sample;
}

Sample failed(Ending ending, int status) {
  Sample sample;
  sample.ending = ending;
  sample.status = status;
  sample.why = "no";
  sample.first_ms = 1e6;
  return sample;
}

TEST(Figures, ATallyKeepsApartWhatEndedHow) {
  Tally tally;
  tally.add(complete(5, {1, 2}));
  tally.add(complete(7, {3}));
  Sample slow = complete(1000, {500});
  slow.slow = true;
  tally.add(slow);
  Sample left;
  left.ending = Ending::kCancelled;
  left.first_ms = 6;
  tally.add(left);
  tally.add(failed(Ending::kStatus, 503));
  tally.add(failed(Ending::kStatus, 429));
  tally.add(failed(Ending::kCut, 200));

  EXPECT_EQ(tally.count(Ending::kComplete), 3);
  EXPECT_EQ(tally.requests(), 7);
  EXPECT_EQ(tally.failures(), 3);
  EXPECT_EQ(tally.usage(), (TokenUsage{30, 12, 9}));
  const Json json = tally.json(2);
  EXPECT_EQ(json.find("errors")->dump(),
            R"({"status":2,"protocol":0,"cut":1,"timeout":0,"connect":0})");
  EXPECT_EQ(json.find("statuses")->dump(), R"({"429":1,"503":1})");
  EXPECT_EQ(json.find("requests_per_s")->as_double(), 1.5);
  EXPECT_EQ(json.find("output_tokens_per_s")->as_double(), 4.5);
  // Neither slow readers nor failures say how quick the server is.
  EXPECT_EQ(json.find("first_token_ms")->dump(),
            R"({"count":3,"p50":6.0,"p95":7.0,"p99":7.0,"max":7.0})");
  EXPECT_EQ(json.find("between_tokens_ms")->dump(),
            R"({"count":3,"p50":2.0,"p95":3.0,"p99":3.0,"max":3.0})");
  EXPECT_NE(tally.table(2).find("2 status, 1 cut, 1 of status 429"), std::string::npos)
      << tally.table(2);
}

TEST(Figures, OneClaimThatFailsFailsTheRun) {
  ::testing::internal::CaptureStdout();
  Checks checks;
  checks.check(true, "a");
  const int passed = checks.exit_status();
  checks.check(false, "b");
  checks.note("d");
  checks.check(true, "c");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "pass  a\nFAIL  b\nnote  d\npass  c\n");
  EXPECT_EQ(passed, 0);
  EXPECT_EQ(checks.exit_status(), 1);
  EXPECT_EQ(checks.json().items().size(), 3u);
}

}  // namespace
}  // namespace plumb::load
