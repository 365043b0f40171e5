#include "load/process_watch.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/file.h"
#include "base/strings.h"

namespace plumb::load {
namespace {

// The number behind "Name:" of a status file.
std::uint64_t field(std::string_view status, std::string_view name) {
  const std::size_t at = status.find(str("\n", name, ":"));
  if (at == status.npos) return 0;
  const std::size_t digit = status.find_first_of("0123456789", at);
  if (digit == status.npos) return 0;
  std::uint64_t value = 0;
  std::from_chars(status.data() + digit, status.data() + status.size(), value);
  return value;
}

std::uint64_t median(std::vector<std::uint64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class Value>
std::string span_text(const std::vector<ProcessSample>& samples, Value value) {
  auto least = value(samples.front()), most = least;
  for (const ProcessSample& s : samples) {
    least = std::min(least, value(s));
    most = std::max(most, value(s));
  }
  return str(value(samples.front()), " at first, ", value(samples.back()), " at last, ", least,
             " to ", most);
}

}  // namespace

Result<ProcessSample> sample_process(pid_t pid) {
  namespace fs = std::filesystem;
  const fs::path directory = fs::path("/proc") / std::to_string(pid);
  const Error gone{Code::kNotFound, str("Process ", pid,
                                        " cannot be looked at: it has ended, or "
                                        "belongs to somebody else.")};
  const auto status = read_file(directory / "status");
  if (!status) return gone;
  ProcessSample sample;
  sample.at = now();
  sample.anonymous = field(*status, "RssAnon") * 1024;
  sample.threads = static_cast<int>(field(*status, "Threads"));
  std::error_code error;
  fs::directory_iterator descriptors(directory / "fd", error);
  if (error) return gone;
  for (; descriptors != fs::directory_iterator(); descriptors.increment(error)) {
    ++sample.descriptors;
    if (error) return gone;
  }
  return sample;
}

bool MemoryTrend::grows() const {
  constexpr std::uint64_t kSlack = std::uint64_t{8} << 20;
  return last > middle + std::max(middle / 50, kSlack);
}

MemoryTrend memory_trend(const std::vector<ProcessSample>& samples) {
  const std::size_t n = samples.size();
  std::vector<std::uint64_t> middle, last;
  for (std::size_t i = n / 3; i < n; ++i) {
    (i < 2 * n / 3 ? middle : last).push_back(samples[i].anonymous);
  }
  return {median(middle), median(last)};
}

ProcessWatch::ProcessWatch(Loop& loop, pid_t pid, std::chrono::milliseconds every)
    : loop_(loop), pid_(pid), every_(every) {
  sample();
}

ProcessWatch::~ProcessWatch() { loop_.cancel(timer_); }

void ProcessWatch::sample() {
  const auto taken = sample_process(pid_);
  if (!taken) return;
  samples_.push_back(*taken);
  timer_ = loop_.after(every_, [this] { sample(); });
}

std::string watch_table(const std::vector<ProcessSample>& samples) {
  if (samples.empty()) return "";
  const MemoryTrend trend = memory_trend(samples);
  return str("memory           ", bytes_text(samples.front().anonymous), " at first, ",
             bytes_text(trend.middle), " in the second third, ", bytes_text(trend.last),
             " in the last\n", "descriptors      ",
             span_text(samples, [](const ProcessSample& s) { return s.descriptors; }), "\n",
             "threads          ",
             span_text(samples, [](const ProcessSample& s) { return s.threads; }), "\n");
}

Json watch_json(const std::vector<ProcessSample>& samples) {
  std::vector<Json> rows;
  for (const ProcessSample& s : samples) {
    rows.push_back(
        Json::object({{"s", Json::real(ms_between(samples.front().at, s.at) / 1000)},
                      {"anonymous_bytes", Json::integer(static_cast<std::int64_t>(s.anonymous))},
                      {"descriptors", Json::integer(s.descriptors)},
                      {"threads", Json::integer(s.threads)}}));
  }
  const MemoryTrend trend = memory_trend(samples);
  return Json::object({{"middle_bytes", Json::integer(static_cast<std::int64_t>(trend.middle))},
                       {"last_bytes", Json::integer(static_cast<std::int64_t>(trend.last))},
                       {"grows", Json::boolean(trend.grows())},
                       {"samples", Json::array(std::move(rows))}});
}

}  // namespace plumb::load
