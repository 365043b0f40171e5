#include "load/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/strings.h"

namespace plumb::load {
namespace {

constexpr std::size_t kMostReasons = 5;

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

Json rounded(double value) { return Json::real(std::round(value * 1000) / 1000); }

std::string spread_row(const char* name, const Spread& s) {
  return format("%-16s %9.1f %9.1f %9.1f %9.1f   (%zu)\n", name, s.p50, s.p95, s.p99, s.max,
                s.count);
}

double per_second(std::int64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

long long wide(std::int64_t n) { return static_cast<long long>(n); }

}  // namespace

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const double rank = std::ceil(q * static_cast<double>(values.size()));
  const auto at =
      values.begin() + std::max<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(rank) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::string fixed(double value, int digits) { return format("%.*f", digits, value); }

Spread spread_of(std::vector<double> values) {
  return {values.size(), quantile(values, 0.50), quantile(values, 0.95), quantile(values, 0.99),
          quantile(values, 1)};
}

Json spread_json(const Spread& s) {
  return Json::object({{"count", Json::integer(static_cast<std::int64_t>(s.count))},
                       {"p50", rounded(s.p50)},
                       {"p95", rounded(s.p95)},
                       {"p99", rounded(s.p99)},
                       {"max", rounded(s.max)}});
}

void Tally::add(const Sample& sample) {
  ++counts_[sample.ending];
  if (sample.slow) ++slow_;
  if (sample.ending == Ending::kStatus) ++statuses_[sample.status];
  if (is_failure(sample.ending)) {
    if (why_.size() < kMostReasons) why_.push_back(sample.why);
    return;
  }
  usage_ += sample.usage;
  if (sample.slow) return;
  if (sample.first_ms) first_ms_.push_back(*sample.first_ms);
  for (const Gap& gap : sample.gaps) gap_ms_.push_back(gap.ms);
}

std::int64_t Tally::count(Ending ending) const {
  const auto found = counts_.find(ending);
  return found == counts_.end() ? 0 : found->second;
}

std::int64_t Tally::requests() const {
  std::int64_t n = 0;
  for (const auto& [ending, count] : counts_) n += count;
  return n;
}

std::int64_t Tally::failures() const {
  std::int64_t n = 0;
  for (const Ending ending : kFailures) n += count(ending);
  return n;
}

std::string Tally::failure_text() const {
  std::string out;
  for (const Ending ending : kFailures) {
    if (count(ending) > 0)
      out += str(out.empty() ? "" : ", ", count(ending), " ", to_string(ending));
  }
  for (const auto& [status, n] : statuses_) out += str(", ", n, " of status ", status);
  for (const std::string& why : why_) out += str("\n    ", why);
  return out.empty() ? "none" : out;
}

std::string Tally::table(double seconds) const {
  const std::int64_t complete = count(Ending::kComplete);
  std::string out = format(
      "requests         %lld complete (%lld slow readers), %lld cancelled, %lld failed in %.1f s\n",
      wide(complete), wide(slow_), wide(count(Ending::kCancelled)), wide(failures()), seconds);
  out += format("rate             %.2f requests/s, %.1f output tokens/s\n",
                per_second(complete, seconds), per_second(usage_.completion, seconds));
  out += format("usage            prompt %lld (cached %lld), completion %lld tokens\n",
                wide(usage_.prompt), wide(usage_.cached), wide(usage_.completion));
  out += str("failures         ", failure_text(), "\n");
  out += format("%-16s %9s %9s %9s %9s   (count)\n", "ms", "p50", "p95", "p99", "max");
  out += spread_row("first token", spread_of(first_ms_));
  out += spread_row("between tokens", spread_of(gap_ms_));
  return out;
}

Json Tally::json(double seconds) const {
  Json errors = Json::object();
  for (const Ending ending : kFailures) {
    errors.set(std::string(to_string(ending)), Json::integer(count(ending)));
  }
  Json statuses = Json::object();
  for (const auto& [status, n] : statuses_) statuses.set(to_text(status), Json::integer(n));
  std::vector<Json> why;
  for (const std::string& sentence : why_) why.push_back(Json::string(sentence));
  return Json::object(
      {{"seconds", rounded(seconds)},
       {"complete", Json::integer(count(Ending::kComplete))},
       {"cancelled", Json::integer(count(Ending::kCancelled))},
       {"slow", Json::integer(slow_)},
       {"requests_per_s", rounded(per_second(count(Ending::kComplete), seconds))},
       {"output_tokens_per_s", rounded(per_second(usage_.completion, seconds))},
       {"errors", std::move(errors)},
       {"statuses", std::move(statuses)},
       {"reasons", Json::array(std::move(why))},
       {"first_token_ms", spread_json(spread_of(first_ms_))},
       {"between_tokens_ms", spread_json(spread_of(gap_ms_))},
       {"usage", Json::object({{"prompt", Json::integer(usage_.prompt)},
                               {"cached", Json::integer(usage_.cached)},
                               {"completion", Json::integer(usage_.completion)}})}});
}

void Checks::check(bool holds, std::string_view claim) {
  if (!holds) ++failed_;
  std::printf("%s  %s\n", holds ? "pass" : "FAIL", std::string(claim).c_str());
  std::fflush(stdout);
  lines_.push_back(
      Json::object({{"claim", Json::string(std::string(claim))}, {"holds", Json::boolean(holds)}}));
}

void Checks::note(std::string_view text) {
  std::printf("note  %s\n", std::string(text).c_str());
  std::fflush(stdout);
}

}  // namespace plumb::load
