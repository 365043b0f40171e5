// What a load run found, as numbers, a table and checks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "load/exchange.h"
#include "load/loop.h"
#include "load/reply_check.h"

namespace plumb::load {

// The smallest value that a share `q` of all values does not exceed; 0 for none.
double quantile(std::vector<double> values, double q);
// With so many digits behind the point.
std::string fixed(double value, int digits = 1);

struct Spread {
  std::size_t count = 0;
  double p50 = 0, p95 = 0, p99 = 0, max = 0;
};
Spread spread_of(std::vector<double> values);
Json spread_json(const Spread& spread);

// Adds up samples. Times are of requests that were read as fast as they came. Value type.
class Tally {
 public:
  void add(const Sample& sample);

  std::int64_t count(Ending ending) const;
  std::int64_t requests() const;  // of any ending
  std::int64_t failures() const;
  const TokenUsage& usage() const { return usage_; }  // of complete ones
  // A failure's kind and its first sentences.
  std::string failure_text() const;

  std::string table(double seconds) const;
  Json json(double seconds) const;

 private:
  std::map<Ending, std::int64_t> counts_;
  std::map<int, std::int64_t> statuses_;  // of kStatus
  std::int64_t slow_ = 0;
  TokenUsage usage_;
  std::vector<double> first_ms_, gap_ms_;
  std::vector<std::string> why_;  // the first few
};

// Claims that a run checks; each prints one line as it is made.
class Checks {
 public:
  // "pass  64 clients: ..." or "FAIL  ...".
  void check(bool holds, std::string_view claim);
  // "note  ...": worth knowing, and no claim.
  void note(std::string_view text);
  bool passed() const { return failed_ == 0; }
  int exit_status() const { return passed() ? 0 : 1; }
  Json json() const { return Json::array(lines_); }

 private:
  int failed_ = 0;
  std::vector<Json> lines_;
};

}  // namespace plumb::load
