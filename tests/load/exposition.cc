#include "load/exposition.h"

#include <charconv>
#include <limits>
#include <map>

#include "base/strings.h"

namespace plumb::load {
namespace {

std::optional<double> number(std::string_view text) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || at != end) return std::nullopt;
  return value;
}

// The position after the label set that begins at `at`: a brace inside quotes does not end it.
std::size_t end_of_labels(std::string_view line, std::size_t at) {
  bool quoted = false;
  for (; at < line.size(); ++at) {
    if (quoted && line[at] == '\\') {
      ++at;
    } else if (line[at] == '"') {
      quoted = !quoted;
    } else if (!quoted && line[at] == '}') {
      return at + 1;
    }
  }
  return line.npos;
}

// The value of the label `le`, which is a number and holds nothing that is escaped.
std::string_view bucket_bound(std::string_view labels) {
  constexpr std::string_view kLabel = "le=\"";
  for (const char before : {'{', ','}) {
    const std::size_t at = labels.find(before + std::string(kLabel));
    if (at == labels.npos) continue;
    const std::size_t from = at + 1 + kLabel.size();
    return labels.substr(from, labels.find('"', from) - from);
  }
  return {};
}

}  // namespace

Result<Exposition> Exposition::parse(std::string_view text) {
  Exposition out;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == text.npos ? text.size() : newline + 1);
    if (line.empty() || line.front() == '#') continue;
    const Error wrong{Code::kCorrupt,
                      str("A line of the metrics is \"", line.substr(0, 200), "\".")};
    const std::size_t name_end = line.find_first_of("{ ");
    if (name_end == line.npos || name_end == 0) return wrong;
    std::size_t labels_end = name_end;
    if (line[name_end] == '{') labels_end = end_of_labels(line, name_end);
    if (labels_end == line.npos || labels_end >= line.size() || line[labels_end] != ' ')
      return wrong;
    const std::string_view rest = line.substr(labels_end + 1);
    const auto value = number(rest.substr(0, rest.find(' ')));  // a time may follow
    if (!value) return wrong;
    const std::string_view labels = line.substr(name_end, labels_end - name_end);
    out.series_.push_back(
        {std::string(line.substr(0, name_end)), std::string(bucket_bound(labels)), *value});
  }
  return out;
}

std::optional<double> Exposition::sum(std::string_view name) const {
  std::optional<double> total;
  for (const Series& series : series_) {
    if (series.name == name) total = total.value_or(0) + series.value;
  }
  return total;
}

HistogramGrowth::HistogramGrowth(const Exposition& before, const Exposition& after,
                                 std::string_view name) {
  const std::string bucket = str(name, "_bucket");
  std::map<double, double> counts;
  const auto add = [&](const Exposition& from, double sign) {
    for (const auto& series : from.series_) {
      if (series.name == bucket) counts[number(series.le).value_or(0)] += sign * series.value;
    }
  };
  add(before, -1);
  add(after, 1);
  buckets_.assign(counts.begin(), counts.end());
}

std::pair<double, double> HistogramGrowth::quantile(double q) const {
  double below = 0;
  for (const auto& [bound, values] : buckets_) {
    if (values >= q * count() && values > 0) return {below, bound};
    below = bound;
  }
  return {0, 0};
}

}  // namespace plumb::load
