#include "grammar/ebnf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/utf8.h"
#include "grammar/regex.h"

namespace plumb::grammar {
namespace {

constexpr int kMostDepth = 200;
constexpr int kMostCount = 10'000;
constexpr std::size_t kMostRules = 20'000;

class Parser {
 public:
  Parser(Rules& rules, std::string_view text) : rules_(rules), text_(text) {}

  Result<RuleId> parse() {
    if (!is_valid_utf8(text_)) return Error{Code::kInvalid, "The grammar is no valid UTF-8."};
    skip_space();
    while (at_ < text_.size() && !error_) parse_rule();
    if (error_) return *error_;
    for (const auto& [name, rule] : names_) {
      if (rules_.all()[static_cast<std::size_t>(rule)].body < 0) {
        return Error{Code::kInvalid,
                     str("The grammar has no rule \"", name, "\", but one that names it.")};
      }
    }
    const auto root = names_.find("root");
    if (root == names_.end()) {
      return Error{Code::kInvalid,
                   "The grammar has no rule \"root\", expected one for the whole reply."};
    }
    return root->second;
  }

 private:
  void fail(std::string_view what) {
    if (error_) return;
    std::size_t line = 1;
    for (std::size_t i = 0; i < at_ && i < text_.size(); ++i) line += text_[i] == '\n';
    error_ = Error{Code::kInvalid, str("The grammar has ", what, " in line ", line, ".")};
  }
  bool more() const { return at_ < text_.size() && !error_; }
  bool next_is(char c) const { return more() && text_[at_] == c; }
  bool take(std::string_view what) {
    if (!more() || !text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  void skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string take_name() {
    const std::size_t first = at_;
    while (more() && is_name(text_.substr(at_, 1), "-_", 1)) ++at_;
    return std::string(text_.substr(first, at_ - first));
  }
  RuleId named(const std::string& name) {
    const auto [found, first] = names_.try_emplace(name, -1);
    if (first) found->second = rules_.declare(str("the rule \"", name, "\""));
    return found->second;
  }
  // Whether a new rule begins here: NAME ::=
  bool at_rule() {
    const std::size_t start = at_;
    const bool name = !take_name().empty();
    skip_space();
    const bool rule = name && text_.substr(at_).starts_with("::=");
    at_ = start;
    return rule;
  }

  void parse_rule() {
    if (!at_rule()) return fail("something that is no rule, expected NAME ::= ...");
    const std::string name = take_name();
    const RuleId rule = named(name);
    if (rules_.all()[static_cast<std::size_t>(rule)].body >= 0)
      return fail(str("a second rule \"", name, "\""));
    if (names_.size() > kMostRules) return fail(str("more than ", kMostRules, " rules"));
    skip_space();
    at_ += 3;
    skip_space();
    rules_.define(rule, alternatives(0));
    if (more() && !at_rule()) fail("something behind a rule that is not part of it");
  }

  ExprId alternatives(int depth) {
    if (depth > kMostDepth) fail(str("groups deeper than ", kMostDepth, " levels"));
    std::vector<ExprId> ways;
    do {
      skip_space();
      std::vector<ExprId> parts;
      while (more() && !next_is('|') && !next_is(')') && !at_rule()) {
        parts.push_back(repeated(atom(depth)));
        skip_space();
      }
      ways.push_back(rules_.seq(std::move(parts)));
    } while (take("|"));
    return rules_.alt(std::move(ways));
  }

  ExprId atom(int depth) {
    if (take("(")) {
      const ExprId inner = alternatives(depth + 1);
      if (!take(")")) fail("a \"(\" without \")\"");
      return inner;
    }
    if (next_is('"')) return literal();
    if (next_is('[')) return char_class();
    if (take(".")) return character(rules_, CharSet::any(), Spelling::kRaw);
    const std::string name = take_name();
    if (!name.empty()) return rules_.call(named(name));
    fail(str("a \"", text_.substr(at_, 1), "\" that begins nothing"));
    return rules_.never();
  }

  // As a regular expression reads it: the escapes are the same.
  ExprId char_class() {
    const std::size_t first = at_;
    for (++at_; more() && !next_is(']'); ++at_) {
      if (next_is('\\')) ++at_;
    }
    if (!take("]")) {
      fail("a \"[\" without \"]\"");
      return rules_.never();
    }
    auto set = regex(rules_, text_.substr(first, at_ - first));
    if (!set) {
      fail("a class that cannot be read");
      return rules_.never();
    }
    return *set;
  }

  ExprId literal() {
    std::string out;
    for (++at_; more() && !next_is('"');) {
      if (take("\\")) {
        take_escape(out);
      } else {
        out += text_[at_++];
      }
    }
    if (!take("\"")) fail("a text without its closing quote");
    return rules_.literal(std::move(out));
  }

  void take_escape(std::string& out) {
    constexpr std::pair<char, char> kShort[] = {{'n', '\n'},  {'r', '\r'}, {'t', '\t'}, {'"', '"'},
                                                {'\\', '\\'}, {'/', '/'},  {'\'', '\''}};
    for (const auto& [name, value] : kShort) {
      if (!next_is(name)) continue;
      ++at_;
      out += value;
      return;
    }
    const bool braces = take("u{");
    const int most = braces ? 6 : take("x") ? 2 : take("u") ? 4 : 0;
    if (most == 0) return fail("an escape that is not offered");
    char32_t code = 0;
    int count = 0;
    for (; count < most && more() && hex_value(text_[at_]) >= 0; ++count, ++at_)
      code = code * 16 + static_cast<char32_t>(hex_value(text_[at_]));
    const bool complete = braces ? count > 0 && take("}") : count == most;
    if (!complete || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
      return fail("an escape that names no character");
    append_utf8(out, code);
  }

  ExprId repeated(ExprId expr) {
    for (;;) {
      if (take("*")) {
        expr = rules_.repeat(expr, 0, kUnbounded);
      } else if (take("+")) {
        expr = rules_.repeat(expr, 1, kUnbounded);
      } else if (take("?")) {
        expr = rules_.optional(expr);
      } else if (take("{")) {
        const auto min = number();
        std::optional<int> max = min;
        if (take(",")) max = next_is('}') ? std::optional<int>(kUnbounded) : number();
        if (!min || !max || !take("}") || (*max != kUnbounded && *max < *min) ||
            *min > kMostCount || *max > kMostCount) {
          fail(str("a count that is none, expected {m}, {m,} or {m,n} up to ", kMostCount));
          return expr;
        }
        expr = rules_.repeat(expr, *min, *max);
      } else {
        return expr;
      }
    }
  }

  std::optional<int> number() {
    const std::size_t first = at_;
    int value = 0;
    while (more() && text_[at_] >= '0' && text_[at_] <= '9')
      value = std::min(10 * value + (text_[at_++] - '0'), 1'000'000);
    return at_ > first ? std::optional<int>(value) : std::nullopt;
  }

  Rules& rules_;
  const std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, RuleId> names_;
  std::optional<Error> error_;
};

}  // namespace

Result<RuleId> ebnf(Rules& rules, std::string_view text) { return Parser(rules, text).parse(); }

}  // namespace plumb::grammar
