#include "grammar/json_rules.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "grammar/numbers.h"

namespace plumb::grammar {
namespace {

constexpr int kMostIndentation = 40;

// "\uXXXX" for every character: one escape, or two that make a pair.
ExprId unicode_escape(Rules& rules) {
  const auto hex = [&] {
    return rules.alt({rules.bytes('0', '9'), rules.bytes('a', 'f'), rules.bytes('A', 'F')});
  };
  const auto letter = [&](char lower) {
    return rules.alt({rules.byte(static_cast<unsigned char>(lower)),
                      rules.byte(static_cast<unsigned char>(lower - 'a' + 'A'))});
  };
  const ExprId not_d =
      rules.alt({rules.bytes('0', '9'), rules.bytes('a', 'c'), rules.bytes('A', 'C'),
                 rules.bytes('e', 'f'), rules.bytes('E', 'F')});
  const ExprId plain = rules.alt({rules.seq({not_d, hex(), hex(), hex()}),
                                  rules.seq({letter('d'), rules.bytes('0', '7'), hex(), hex()})});
  const ExprId high = rules.alt({rules.bytes('8', '9'), letter('a'), letter('b')});
  const ExprId low = rules.alt({letter('c'), letter('d'), letter('e'), letter('f')});
  const ExprId pair = rules.seq(
      {letter('d'), high, hex(), hex(), rules.literal("\\u"), letter('d'), low, hex(), hex()});
  return rules.seq({rules.literal("\\u"), rules.alt({plain, pair})});
}

}  // namespace

JsonRules::JsonRules(Rules& rules) : rules_(rules) {
  const ExprId indentation =
      rules.repeat(rules.alt({rules.byte(' '), rules.byte('\t')}), 0, kMostIndentation);
  space_ = rules.rule("white space", rules.alt({rules.empty(), rules.byte(' '),
                                                rules.seq({rules.byte('\n'), indentation})}));
  rules.look_through(space_);
  std::vector<ExprId> escapes;
  for (const char c : std::string("\"\\/bfnrt"))
    escapes.push_back(rules.literal(std::string("\\") + c));
  character_ = rules.rule("a character of a string",
                          rules.alt({rules.alt(std::move(escapes)), unicode_escape(rules)}));
  string_rule_ = rules.declare("a string");
  rules.define(string_rule_, string(Spelling::kJson, 0, kUnbounded));
  number_rule_ = rules.rule("a number", *numbers(rules, {}));
  integer_rule_ = rules.rule("an integer", *integers(rules, {}));
  for (int depth = 0; depth <= kAnyDepth; ++depth) {
    std::vector<ExprId> kinds = {rules.call(string_rule_), rules.call(number_rule_), boolean(),
                                 null()};
    if (depth > 0) {
      const ExprId inner = rules.call(values_[depth - 1]);
      kinds.push_back(array(inner, 0, kUnbounded));
      kinds.push_back(object(member(rules.call(string_rule_), inner), 0, kUnbounded));
    }
    values_[depth] = rules.rule("a value", rules.alt(std::move(kinds)));
  }
}

ExprId JsonRules::any_value() { return rules_.call(values_[kAnyDepth]); }
ExprId JsonRules::any_integer() { return rules_.call(integer_rule_); }
ExprId JsonRules::any_number() { return rules_.call(number_rule_); }
ExprId JsonRules::boolean() {
  return rules_.alt({rules_.literal("true"), rules_.literal("false")});
}
ExprId JsonRules::any_array() { return array(rules_.call(values_[kAnyDepth - 1]), 0, kUnbounded); }
ExprId JsonRules::any_object() {
  return object(member(rules_.call(string_rule_), rules_.call(values_[kAnyDepth - 1])), 0,
                kUnbounded);
}

ExprId JsonRules::string(Spelling spelling, int min, int max) {
  if (spelling == Spelling::kRaw) {
    return rules_.repeat(character(rules_, CharSet::any(), spelling), min, max, Filler::kRaw);
  }
  const ExprId any =
      rules_.alt({character(rules_, plain_in_json(), Spelling::kRaw), json_character()});
  return rules_.seq(
      {rules_.byte('"'), rules_.repeat(any, min, max, Filler::kJson), rules_.byte('"')});
}

ExprId JsonRules::string_but(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return rules_.seq({rules_.byte('"'), other_than(names, 0, names.size(), 0), rules_.byte('"')});
}

// Of names[first, last), which agree in their first `at` bytes: what may follow those bytes so that
// none of the names comes out. Escapes are left out where they could spell a name.
ExprId JsonRules::other_than(const std::vector<std::string>& names, std::size_t first,
                             std::size_t last, std::size_t at) {
  const ExprId rest = rules_.repeat(character(rules_, plain_in_json(), Spelling::kRaw), 0,
                                    kUnbounded, Filler::kJson);
  CharSet others = plain_in_json();
  std::vector<ExprId> ways;
  bool is_name = false;
  for (std::size_t i = first; i < last;) {
    if (names[i].size() == at) {
      is_name = true;
      ++i;
      continue;
    }
    const Utf8Step step = decode_utf8(names[i], at);
    const std::string_view lead = std::string_view(names[i]).substr(at, step.length);
    std::size_t end = i;
    while (end < last && std::string_view(names[end]).substr(at).starts_with(lead)) ++end;
    others = others.without(CharSet::one(step.code));
    ways.push_back(rules_.seq({grammar::text(rules_, lead, Spelling::kJson),
                               other_than(names, i, end, at + step.length)}));
    i = end;
  }
  ways.push_back(rules_.seq({character(rules_, others, Spelling::kRaw), rest}));
  if (!is_name) ways.push_back(rules_.empty());
  return rules_.alt(std::move(ways));
}

ExprId JsonRules::array(ExprId item, int min, int max) {
  return enclosed('[', item, min, max, ']');
}
ExprId JsonRules::object(ExprId member, int min, int max) {
  return enclosed('{', member, min, max, '}');
}

ExprId JsonRules::enclosed(char open, ExprId item, int min, int max, char close) {
  PLUMB_CHECK(max == kUnbounded || min <= max);
  const auto byte = [&](char c) { return rules_.byte(static_cast<unsigned char>(c)); };
  const ExprId none = rules_.seq({byte(open), space(), byte(close)});
  if (max == 0) return none;
  // A rule of its own: what is written twice below is laid out once.
  if (rules_.exprs()[static_cast<std::size_t>(item)].kind != Expr::Kind::kCall)
    item = rules_.call(rules_.rule("an element", item));
  const ExprId next = rules_.seq({byte(','), space(), item});
  const ExprId some = rules_.seq(
      {byte(open), space(), item,
       rules_.repeat(next, std::max(min - 1, 0), max == kUnbounded ? kUnbounded : max - 1), space(),
       byte(close)});
  return min > 0 ? some : rules_.alt({none, some});
}

ExprId JsonRules::member(ExprId key, ExprId value) {
  return rules_.seq({key, rules_.byte(':'), space(), value});
}

}  // namespace plumb::grammar
