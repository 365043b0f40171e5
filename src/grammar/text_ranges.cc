#include "grammar/text_ranges.h"

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace plumb::grammar {
namespace {

unsigned char first(std::string_view text) { return static_cast<unsigned char>(text.front()); }

}  // namespace

// The range of the first byte is split so that in each part the bytes behind it are free or follow
// one of the borders.
ExprId texts_between(Rules& rules, std::string_view low, std::string_view high, ByteRange behind) {
  PLUMB_CHECK(low.size() == high.size() && !low.empty() && low <= high);
  if (low.size() == 1) return rules.bytes(first(low), first(high));
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  const auto led_by = [&](unsigned char byte, std::string_view from, std::string_view to) {
    return rules.seq({rules.byte(byte), texts_between(rules, from, to, behind)});
  };
  if (first(low) == first(high)) return led_by(first(low), low_rest, high_rest);
  const std::string least(low_rest.size(), static_cast<char>(behind.low));
  const std::string most(low_rest.size(), static_cast<char>(behind.high));
  std::vector<ExprId> ways;
  int from = first(low), to = first(high);
  if (low_rest != least) ways.push_back(led_by(static_cast<unsigned char>(from++), low_rest, most));
  if (high_rest != most) ways.push_back(led_by(static_cast<unsigned char>(to--), least, high_rest));
  if (from <= to) {
    std::vector<ExprId> free = {
        rules.bytes(static_cast<unsigned char>(from), static_cast<unsigned char>(to))};
    for (std::size_t i = 0; i < low_rest.size(); ++i)
      free.push_back(rules.bytes(behind.low, behind.high));
    ways.push_back(rules.seq(std::move(free)));
  }
  return rules.alt(std::move(ways));
}

}  // namespace plumb::grammar
