#include "measure/numbers.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/strings.h"

namespace plumb::measure {
namespace {

constexpr double kTolerance = 1.10;

std::optional<std::int64_t> parse_count(std::string_view text) {
  std::int64_t unit = 1;
  if (!text.empty()) {
    const char last = text.back();
    if (last == 'k' || last == 'K') unit = 1024;
    if (last == 'm' || last == 'M') unit = 1024 * 1024;
    if (unit > 1) text.remove_suffix(1);
  }
  if (text.empty() || text.size() > 12) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value * unit;
}

bool in_word(char c) {
  const auto u = static_cast<unsigned char>(c);
  return std::isalnum(u) != 0 || c == '_' || c == '.' || u >= 0x80;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

bool agree(double before, double after) {
  return std::max(before, after) <= kTolerance * std::min(before, after);
}

double bound_seconds(double bytes, double bytes_per_second, double ops, double ops_per_second) {
  const double memory = bytes_per_second > 0 ? bytes / bytes_per_second : 0;
  const double arithmetic = ops_per_second > 0 ? ops / ops_per_second : 0;
  return std::max(memory, arithmetic);
}

Result<std::vector<std::int64_t>> parse_counts(std::string_view text, std::string_view option,
                                               std::int64_t min, std::int64_t max) {
  std::vector<std::int64_t> counts;
  if (text == "none") return counts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, comma - at);
    const auto count = parse_count(part);
    if (!count || *count < min || *count > max) {
      return Error{Code::kInvalid,
                   str(option, " has the part \"", part, "\", expected numbers from ", min, " to ",
                       max, " with commas between them, such as 512,4k, or none.")};
    }
    counts.push_back(*count);
    at = comma + 1;
  }
  return counts;
}

Result<double> last_number(std::string_view text) {
  const std::string copy(text);  // for strtod, which wants an end
  std::optional<double> found;
  for (std::size_t at = 0; at < copy.size();) {
    const bool begins = std::isdigit(static_cast<unsigned char>(copy[at])) != 0 &&
                        (at == 0 || !in_word(copy[at - 1]));
    if (!begins) {
      ++at;
      continue;
    }
    char* end = nullptr;
    const double value = std::strtod(copy.c_str() + at, &end);
    const auto next = static_cast<std::size_t>(end - copy.c_str());
    const bool negative = at > 0 && copy[at - 1] == '-';
    if (std::isfinite(value)) found = negative ? -value : value;
    at = std::max(next, at + 1);
  }
  if (!found) return Error{Code::kInvalid, "The output holds no number."};
  if (*found <= 0) {
    return Error{Code::kInvalid, str("The last number of the output is ", *found,
                                     ", expected tokens per second, more than 0.")};
  }
  return *found;
}

}  // namespace plumb::measure
