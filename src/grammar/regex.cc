#include "grammar/regex.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/utf8.h"

namespace plumb::grammar {
namespace {

constexpr int kMostCount = 10'000;
constexpr int kMostDepth = 200;

const CharSet& digits() {
  static const CharSet set = {{'0', '9'}};
  return set;
}
const CharSet& word_characters() {
  static const CharSet set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CharSet& spaces() {
  static const CharSet set = {
      {'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
      {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return set;
}
// What other dialects' \d, \w and \s also mean must not be written, nor what they leave out: a text
// that this grammar lets through is to match wherever it is checked.
const CharSet& not_spaces() {
  static const CharSet set = [] {
    CharSet all = spaces();
    all.add(0x1C, 0x1F);
    all.add(0x85, 0x85);
    return all.inverted();
  }();
  return set;
}
const CharSet& safe_spaces() {
  static const CharSet set = {{'\t', '\r'}, {' ', ' '}};
  return set;
}
const CharSet& not_digits() {
  static const CharSet set = CharSet({{'0', '9'}, {0x80, 0x10FFFF}}).inverted();
  return set;
}
const CharSet& not_word_characters() {
  static const CharSet set = [] {
    CharSet all = word_characters();
    all.add(0x80, 0x10FFFF);
    return all.inverted();
  }();
  return set;
}
const CharSet& not_line_ends() {
  static const CharSet set = CharSet({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}).inverted();
  return set;
}

class Parser {
 public:
  Parser(Rules& rules, std::string_view pattern, const RegexOptions& options)
      : rules_(rules), pattern_(pattern), options_(options) {}

  Result<ExprId> parse() {
    if (!is_valid_utf8(pattern_)) {
      return Error{Code::kInvalid, "The pattern is no valid UTF-8."};
    }
    const ExprId expr = alternatives(0);
    if (!error_ && at_ < pattern_.size()) fail("a \")\" that closes nothing");
    if (error_) return *error_;
    return expr;
  }

 private:
  // --- reading ---
  bool more() const { return at_ < pattern_.size() && !error_; }
  bool next_is(char c) const { return more() && pattern_[at_] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view text) {
    if (!more() || !pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  char32_t take_character() {
    const Utf8Step step = decode_utf8(pattern_, at_);
    at_ += step.length;
    return step.code;
  }
  void fail(std::string_view what, Code code = Code::kInvalid) {
    if (error_) return;
    error_ = Error{code, str("The pattern ", json_quoted(), " has ", what, " at byte ", at_, ".")};
  }
  std::string json_quoted() const {
    constexpr std::size_t kMost = 80;
    std::string shown(pattern_.substr(0, complete_utf8_prefix(pattern_.substr(0, kMost))));
    if (shown.size() < pattern_.size()) shown += "...";
    return "\"" + shown + "\"";
  }

  // --- structure ---
  ExprId alternatives(int depth) {
    if (depth > kMostDepth) {
      fail(str("groups deeper than ", kMostDepth, " levels"), Code::kUnsupported);
      return rules_.never();
    }
    std::vector<ExprId> ways;
    do {
      ways.push_back(sequence(depth));
    } while (take('|'));
    return rules_.alt(std::move(ways));
  }

  // One alternative. Anchors count at its ends; at the top, and only there, it may match anywhere.
  ExprId sequence(int depth) {
    std::vector<ExprId> parts;
    bool begins = false, ends = false;
    while (take('^')) begins = true;
    if (begins && depth > 0) fail("a \"^\" inside a group", Code::kUnsupported);
    while (more() && !next_is('|') && !next_is(')')) {
      if (take('$')) {
        ends = true;
        if (depth > 0 || (more() && !next_is('|') && !next_is('$')))
          fail("a \"$\" that is not at the end", Code::kUnsupported);
        continue;
      }
      if (next_is('^')) fail("a \"^\" that is not at the beginning", Code::kUnsupported);
      if (error_) break;
      parts.push_back(term(depth));
    }
    if (depth == 0 && options_.anywhere) {
      if (!begins) parts.insert(parts.begin(), anything());
      if (!ends) parts.push_back(anything());
    }
    return rules_.seq(std::move(parts));
  }

  ExprId anything() {
    const bool json = options_.spelling == Spelling::kJson;
    return rules_.repeat(character(rules_, CharSet::any(), options_.spelling), 0, kUnbounded,
                         json ? Filler::kJson : Filler::kRaw);
  }

  ExprId term(int depth) {
    const std::optional<CharSet> set = next_is('(') ? std::nullopt : atom_set();
    ExprId atom = -1;
    Filler filler = Filler::kNone;
    if (set) {
      atom = character(rules_, *set, options_.spelling);
      // All that fills a JSON string is in the set.
      const CharSet& fillers = filler_characters(Filler::kJson);
      if (options_.spelling == Spelling::kJson && fillers.common(*set) == fillers)
        filler = Filler::kJson;
    } else {
      atom = group(depth);
    }
    return quantified(atom, filler);
  }

  ExprId group(int depth) {
    ++at_;  // (
    if (take("?<") && !next_is('=') && !next_is('!')) {
      while (more() && !next_is('>')) ++at_;
      if (!take('>')) fail("a group's name without end");
    } else if (!take("?:") && (next_is('?') || pattern_[at_ - 1] == '<')) {
      fail("a look-around or another \"(?\"", Code::kUnsupported);
    }
    const ExprId inner = alternatives(depth + 1);
    if (!take(')')) fail("a \"(\" without \")\"");
    return inner;
  }

  ExprId quantified(ExprId atom, Filler filler) {
    int min = 1, max = 1;
    if (take('*')) {
      min = 0, max = kUnbounded;
    } else if (take('+')) {
      max = kUnbounded;
    } else if (take('?')) {
      min = 0;
    } else if (!next_is('{') || !read_counts(min, max)) {
      return atom;
    }
    take('?');  // lazy: the same texts
    if (next_is('*') || next_is('+') || next_is('?')) fail("a repetition of a repetition");
    // A bounded repetition may be followed by what it consists of, where a filler promises that it
    // is not.
    return rules_.repeat(atom, min, max, max == kUnbounded ? filler : Filler::kNone);
  }

  // {m} {m,} {m,n}. False: the brace stands for itself.
  bool read_counts(int& min, int& max) {
    const std::size_t start = at_;
    ++at_;
    const auto number = [&]() -> std::optional<int> {
      const std::size_t first = at_;
      long value = 0;
      while (more() && pattern_[at_] >= '0' && pattern_[at_] <= '9') {
        value = std::min(10L * value + (pattern_[at_] - '0'), 1'000'000L);
        ++at_;
      }
      return at_ > first ? std::optional<int>(static_cast<int>(value)) : std::nullopt;
    };
    const auto low = number();
    std::optional<int> high = low;
    if (low && take(',')) {
      high = kUnbounded;
      if (const auto given = number()) high = given;
    }
    if (!low || !take('}')) {
      at_ = start;
      fail("a \"{\" that begins no count, expected \"\\{\"");
      return false;
    }
    min = *low;
    max = *high;
    if (min > kMostCount || max > kMostCount)
      fail(str("a count above ", kMostCount), Code::kUnsupported);
    if (max != kUnbounded && max < min) fail("a count whose end is before its beginning");
    return !error_;
  }

  // --- characters ---
  // nullopt after an error.
  std::optional<CharSet> atom_set() {
    if (take('.')) return not_line_ends();
    if (take('[')) return char_class();
    if (take('\\')) return escape(false);
    for (const char c : {'*', '+', '?'}) {
      if (!next_is(c)) continue;
      fail(str("a \"", std::string(1, c), "\" that repeats nothing"));
      ++at_;
      return CharSet();
    }
    return CharSet::one(take_character());
  }

  CharSet char_class() {
    const bool inverted = take('^');
    inverted_class_ = inverted;
    CharSet set;
    while (more() && !next_is(']')) {
      const CharSet low = class_atom();
      if (!(next_is('-') && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']')) {
        set.add(low);
        continue;
      }
      ++at_;
      const CharSet high = class_atom();
      const bool single = is_single(low) && is_single(high);
      if (!single || high.ranges().front().low < low.ranges().front().low) {
        fail("a range of a class that runs backwards or is none");
        return set;
      }
      set.add(low.ranges().front().low, high.ranges().front().low);
    }
    if (!take(']')) fail("a \"[\" without \"]\"");
    inverted_class_ = false;
    return inverted ? set.inverted() : set;
  }

  static bool is_single(const CharSet& set) {
    return set.ranges().size() == 1 && set.ranges().front().low == set.ranges().front().high;
  }

  CharSet class_atom() {
    if (take('\\')) return escape(true);
    return more() ? CharSet::one(take_character()) : CharSet();
  }

  CharSet escape(bool in_class) {
    if (!more()) {
      fail("a \"\\\" at the end");
      return {};
    }
    const char32_t c = take_character();
    switch (c) {
      case 'd':
        return class_of(digits(), not_digits());
      case 'D':
        return class_of(not_digits(), digits());
      case 'w':
        return class_of(word_characters(), not_word_characters());
      case 'W':
        return class_of(not_word_characters(), word_characters());
      case 's':
        return class_of(safe_spaces(), not_spaces());
      case 'S':
        return class_of(not_spaces(), safe_spaces());
      case 't':
        return CharSet::one('\t');
      case 'n':
        return CharSet::one('\n');
      case 'r':
        return CharSet::one('\r');
      case 'f':
        return CharSet::one('\f');
      case 'v':
        return CharSet::one('\v');
      case '0':
        return CharSet::one(0);
      case 'x':
        return hex(2);
      case 'u':
        return unicode();
      case 'c':
        if (more() && is_name(pattern_.substr(at_, 1), "", 1))
          return CharSet::one(take_character() % 32);
        break;
      case 'b':
        if (in_class) return CharSet::one('\b');
        break;
      default:
        // Punctuation stands for itself.
        if (c < 0x80 && !is_name(std::string(1, static_cast<char>(c)), "", 1))
          return CharSet::one(c);
    }
    --at_;
    fail("an escape that is not offered", Code::kUnsupported);
    return {};
  }

  // Both sets are the narrow ones; what stays out of an inverted class is the wide one.
  CharSet class_of(const CharSet& set, const CharSet& opposite) const {
    return inverted_class_ ? opposite.inverted() : set;
  }

  CharSet hex(int count) {
    char32_t code = 0;
    for (int i = 0; i < count; ++i) {
      const int digit = more() ? hex_value(pattern_[at_]) : -1;
      if (digit < 0) {
        fail("an escape without its hexadecimal digits");
        return {};
      }
      code = code * 16 + static_cast<char32_t>(digit);
      ++at_;
    }
    return CharSet::one(code);
  }

  CharSet unicode() {
    if (take('{')) {
      char32_t code = 0;
      for (; more() && hex_value(pattern_[at_]) >= 0 && code <= 0x10FFFF; ++at_)
        code = code * 16 + static_cast<char32_t>(hex_value(pattern_[at_]));
      if (!take('}') || code > 0x10FFFF) fail("an escape that names no character");
      return CharSet::one(code);
    }
    const CharSet first = hex(4);
    if (error_ || !first.empty()) return first;
    // A surrogate: half of a character.
    const std::size_t digits = at_ - 4;
    const auto half = [&](std::size_t at) {
      char32_t code = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        const int digit = at + i < pattern_.size() ? hex_value(pattern_[at + i]) : -1;
        code = digit < 0 ? 0 : code * 16 + static_cast<char32_t>(digit);
      }
      return code;
    };
    const char32_t high = half(digits);
    const char32_t low = pattern_.substr(at_, 2) == "\\u" ? half(at_ + 2) : 0;
    if (high > 0xDBFF || low < 0xDC00 || low > 0xDFFF) {
      fail("half of a character", Code::kUnsupported);
      return {};
    }
    at_ += 6;
    return CharSet::one(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
  }

  Rules& rules_;
  const std::string_view pattern_;
  const RegexOptions options_;
  std::size_t at_ = 0;
  bool inverted_class_ = false;  // reading a class that begins with ^
  std::optional<Error> error_;
};

}  // namespace

Result<ExprId> regex(Rules& rules, std::string_view pattern, const RegexOptions& options) {
  return Parser(rules, pattern, options).parse();
}

}  // namespace plumb::grammar
