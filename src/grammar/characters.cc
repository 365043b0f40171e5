#include "grammar/characters.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "grammar/text_ranges.h"

namespace plumb::grammar {
namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr CharSet::Range kSurrogates = {0xD800, 0xDFFF};

// Characters whose UTF-8 has the same number of bytes.
constexpr std::array<CharSet::Range, 5> kLengths = {
    {{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, kLast}}};

std::string utf8(char32_t code) {
  std::string out;
  append_utf8(out, code);
  return out;
}

void add_raw(Rules& rules, const CharSet& set, std::vector<ExprId>& out) {
  for (const CharSet::Range& range : set.ranges()) {
    for (const CharSet::Range& length : kLengths) {
      const char32_t low = std::max(range.low, length.low);
      const char32_t high = std::min(range.high, length.high);
      if (low <= high) out.push_back(texts_between(rules, utf8(low), utf8(high), {0x80, 0xBF}));
    }
  }
}

}  // namespace

CharSet::CharSet(std::initializer_list<Range> ranges) : ranges_(ranges) { tidy(); }

CharSet CharSet::any() { return CharSet().inverted(); }

void CharSet::tidy() {
  std::vector<Range> clean;
  for (const Range& range : ranges_) {
    // What no text holds is cut out.
    if (range.low < kSurrogates.low)
      clean.push_back({range.low, std::min(range.high, char32_t{kSurrogates.low - 1})});
    if (range.high > kSurrogates.high)
      clean.push_back(
          {std::max(range.low, char32_t{kSurrogates.high + 1}), std::min(range.high, kLast)});
  }
  std::sort(clean.begin(), clean.end(),
            [](const Range& a, const Range& b) { return a.low < b.low; });
  ranges_.clear();
  for (const Range& range : clean) {
    if (range.low > range.high) continue;
    const bool joins = !ranges_.empty() && (range.low <= ranges_.back().high + 1 ||
                                            (ranges_.back().high == char32_t{kSurrogates.low - 1} &&
                                             range.low == char32_t{kSurrogates.high + 1}));
    if (joins) {
      ranges_.back().high = std::max(ranges_.back().high, range.high);
    } else {
      ranges_.push_back(range);
    }
  }
}

void CharSet::add(char32_t low, char32_t high) {
  ranges_.push_back({low, high});
  tidy();
}

void CharSet::add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  tidy();
}

CharSet CharSet::inverted() const {
  CharSet out;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.low > next) out.ranges_.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= kLast) out.ranges_.push_back({next, kLast});
  out.tidy();
  return out;
}

CharSet CharSet::common(const CharSet& other) const {
  CharSet out;
  for (const Range& a : ranges_) {
    for (const Range& b : other.ranges_) {
      const char32_t low = std::max(a.low, b.low), high = std::min(a.high, b.high);
      if (low <= high) out.ranges_.push_back({low, high});
    }
  }
  out.tidy();
  return out;
}

bool CharSet::contains(char32_t c) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [c](const Range& range) { return range.low <= c && c <= range.high; });
}

const CharSet& plain_in_json() {
  static const CharSet kPlain = CharSet({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}).inverted();
  return kPlain;
}

const CharSet& filler_characters(Filler filler) {
  static const CharSet kJson = plain_in_json().without({{0x2028, 0x2029}});
  static const CharSet kRaw = CharSet::one(0xFF5C).inverted();
  return filler == Filler::kJson ? kJson : kRaw;
}

ExprId character(Rules& rules, const CharSet& set, Spelling spelling) {
  std::vector<ExprId> ways;
  if (spelling == Spelling::kRaw) {
    add_raw(rules, set, ways);
    return ways.empty() ? rules.never() : rules.alt(std::move(ways));
  }
  add_raw(rules, set.common(plain_in_json()), ways);
  const CharSet to_escape = set.without(plain_in_json());
  for (const CharSet::Range& range : to_escape.ranges()) {
    for (char32_t c = range.low; c <= range.high; ++c) {
      const std::string quoted = json_quote(utf8(c));
      ways.push_back(rules.literal(quoted.substr(1, quoted.size() - 2)));
    }
  }
  return ways.empty() ? rules.never() : rules.alt(std::move(ways));
}

// Node n: the last n characters are those that `part` begins with (Knuth, Morris and Pratt).
ExprId text_without(Rules& rules, std::string_view part) {
  std::u32string pattern;
  for (std::size_t at = 0; at < part.size();) {
    const Utf8Step step = decode_utf8(part, at);
    pattern += step.code;
    at += step.length;
  }
  PLUMB_CHECK(pattern.size() > 1 && pattern.front() == 0xFF5C);
  const auto matched = [&](std::u32string text) {  // of the pattern, at the text's end
    std::size_t n = std::min(text.size(), pattern.size());
    while (text.compare(text.size() - n, n, pattern, 0, n) != 0) --n;
    return static_cast<int>(n);
  };
  std::vector<Rules::GraphEdge> edges;
  for (int node = 0; node < static_cast<int>(pattern.size()); ++node) {
    CharSet others = CharSet::any();
    std::u32string seen;
    for (const char32_t c : pattern) {
      if (seen.find(c) != seen.npos) continue;
      seen += c;
      others = others.without(CharSet::one(c));
      const int to = matched(pattern.substr(0, static_cast<std::size_t>(node)) + c);
      if (to == static_cast<int>(pattern.size())) continue;
      edges.push_back({node, to, character(rules, CharSet::one(c), Spelling::kRaw)});
    }
    edges.push_back({node, 0, character(rules, others, Spelling::kRaw)});
  }
  return rules.graph(edges, Filler::kRaw);
}

ExprId text(Rules& rules, std::string_view text, Spelling spelling) {
  if (spelling == Spelling::kRaw) return rules.literal(std::string(text));
  const std::string quoted = json_quote(text);
  return rules.literal(quoted.substr(1, quoted.size() - 2));
}

}  // namespace plumb::grammar
