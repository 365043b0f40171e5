#include "load/exposition.h"

#include <gtest/gtest.h>

#include <limits>

namespace plumb::load {
namespace {

Exposition parsed(std::string_view text) {
  auto out = Exposition::parse(text);
  EXPECT_TRUE(out) << out.error().message;
  return out ? *out : Exposition();
}

TEST(Exposition, AddsUpSeriesOfOneName) {
  const Exposition metrics = parsed(
      "# HELP a_total Something.\n# TYPE a_total counter\n"
      "a_total{model=\"x} 9\\\" \",n=\"1\"} 3\na_total{n=\"2\"} 4 1700000000000\n"
      "a_total_more 100\n\nb 1.5e3\nc +Inf\n");
  EXPECT_EQ(metrics.sum("a_total"), 7);
  EXPECT_EQ(metrics.sum("b"), 1500);
  EXPECT_EQ(metrics.sum("c"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(metrics.sum("a"), std::nullopt);
}

TEST(Exposition, RefusesWhatIsNoSample) {
  for (const char* text :
       {"a\n", "a x\n", "{a=\"1\"} 2\n", "a{b=\"1\" 2\n", "a{b=\"1\"}2\n", "a 1x\n"})
    EXPECT_FALSE(Exposition::parse(text)) << text;
}

TEST(Exposition, AHistogramsQuantileLiesBetweenBounds) {
  const Exposition before = parsed(
      "t_bucket{le=\"0.001\"} 50\nt_bucket{le=\"0.002\"} 50\nt_bucket{le=\"0.02\"} 60\n"
      "t_bucket{le=\"+Inf\"} 60\n");
  const Exposition after = parsed(
      "t_bucket{x=\"y\",le=\"0.001\"} 51\nt_bucket{le=\"0.002\"} 148\nt_bucket{le=\"0.02\"} 159\n"
      "t_bucket{le=\"+Inf\"} 160\n");
  const HistogramGrowth growth(before, after, "t");  // 1, 97, 1 and 1 values
  EXPECT_EQ(growth.count(), 100);
  EXPECT_EQ(growth.quantile(0.01), std::pair(0.0, 0.001));
  EXPECT_EQ(growth.quantile(0.98), std::pair(0.001, 0.002));
  EXPECT_EQ(growth.quantile(0.99), std::pair(0.002, 0.02));
  EXPECT_EQ(growth.quantile(1).second, std::numeric_limits<double>::infinity());
  EXPECT_EQ(HistogramGrowth(before, after, "u").count(), 0);
}

}  // namespace
}  // namespace plumb::load
