#include "grammar/numbers.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "grammar/text_ranges.h"

namespace plumb::grammar {
namespace {

constexpr int kMostWhole = 18;
constexpr int kMostFraction = 17;
constexpr std::int64_t kMostMultiple = 500;
constexpr std::int64_t kMostListed = 2'000;
constexpr ByteRange kDigits = {'0', '9'};

ExprId digits(Rules& rules, int min, int max) {
  return rules.repeat(rules.bytes('0', '9'), min, std::max(min, max));
}

std::string without_leading_zeros(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  return digits.empty() ? "0" : digits;
}

// Compares digits without signs.
int compare_sizes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (a.whole != b.whole) return a.whole < b.whole ? -1 : 1;
  // Trailing zeros are gone, so that a text that goes on is the larger one.
  return a.fraction == b.fraction ? 0 : (a.fraction < b.fraction ? -1 : 1);
}

// Whole numbers from a to b (digits without leading zeros, a <= b), by their lengths.
void add_wholes(Rules& rules, const std::string& a, const std::string& b,
                std::vector<ExprId>& out) {
  for (std::size_t length = a.size(); length <= b.size(); ++length) {
    const std::string low = length == a.size() ? a : "1" + std::string(length - 1, '0');
    const std::string high = length == b.size() ? b : std::string(length, '9');
    out.push_back(texts_between(rules, low, high, kDigits));
  }
}

std::string plus_one(std::string digits) {
  std::size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) return "1" + digits;
  ++digits[i - 1];
  return digits;
}
std::string minus_one(std::string digits) {  // of a number above 0
  std::size_t i = digits.size();
  while (digits[i - 1] == '0') digits[--i] = '9';
  --digits[i - 1];
  return without_leading_zeros(digits);
}
bool is_below(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

// Digits of a fraction, the point before them not included, that are at least / at most what a
// border has; the text may end where the digits that are missing would be zeros.
class Fractions {
 public:
  explicit Fractions(Rules& rules) : rules_(rules) {}

  ExprId any(int left) { return digits(rules_, 0, left); }

  ExprId at_least(const std::string& border, bool open, std::size_t at, int left) {
    if (at >= border.size()) {
      if (!open) return any(left);
      // Above it: some digit is not zero.
      return left <= 0 ? rules_.never()
                       : rules_.seq({rules_.repeat(rules_.byte('0'), 0, left - 1),
                                     rules_.bytes('1', '9'), any(left)});
    }
    std::vector<ExprId> ways;
    const char d = border[at];
    ways.push_back(rules_.seq({byte(d), at_least(border, open, at + 1, left - 1)}));
    if (d < '9') ways.push_back(rules_.seq({range(d + 1, '9'), any(left - 1)}));
    return rules_.alt(std::move(ways));
  }

  ExprId at_most(const std::string& border, bool open, std::size_t at, int left) {
    if (at >= border.size()) {
      return open ? rules_.never() : rules_.repeat(rules_.byte('0'), 0, std::max(left, 0));
    }
    std::vector<ExprId> ways = {rules_.empty()};  // the border goes on, and not with zeros only
    const char d = border[at];
    ways.push_back(rules_.seq({byte(d), at_most(border, open, at + 1, left - 1)}));
    if (d > '0') ways.push_back(rules_.seq({range('0', d - 1), any(left - 1)}));
    return rules_.alt(std::move(ways));
  }

  ExprId between(const Bound& low, const Bound& high, std::size_t at, int left) {
    const std::string& a = low.value.fraction;
    const std::string& b = high.value.fraction;
    if (at >= a.size() && !low.open) return at_most(b, high.open, at, left);
    const char da = at < a.size() ? a[at] : '0';
    const char db = at < b.size() ? b[at] : '0';
    if (at >= a.size() && at >= b.size()) return rules_.never();  // equal, and one is open
    if (da == db) return rules_.seq({byte(da), between(low, high, at + 1, left - 1)});
    std::vector<ExprId> ways;
    ways.push_back(rules_.seq({byte(da), at_least(a, low.open, at + 1, left - 1)}));
    ways.push_back(rules_.seq({byte(db), at_most(b, high.open, at + 1, left - 1)}));
    if (db - da > 1) ways.push_back(rules_.seq({range(da + 1, db - 1), any(left - 1)}));
    return rules_.alt(std::move(ways));
  }

 private:
  ExprId byte(char c) { return rules_.byte(static_cast<unsigned char>(c)); }
  ExprId range(int low, int high) {
    return rules_.bytes(static_cast<unsigned char>(low), static_cast<unsigned char>(high));
  }
  Rules& rules_;
};

// "" or "." and one digit at least of what `digits` lets through.
ExprId with_point(Rules& rules, ExprId fraction) { return rules.seq({rules.byte('.'), fraction}); }

// Numbers of at least 0 without their sign, from low to high.
class Sizes {
 public:
  explicit Sizes(Rules& rules) : rules_(rules), fractions_(rules) {}

  ExprId numbers(const Bound& low, const Bound& high) {
    const std::string &a = low.value.whole, &b = high.value.whole;
    if (a == b)
      return whole_with(a, fractions_.between(low, high, 0, kMostFraction), is_in(low, low, high));
    std::vector<ExprId> ways;
    ways.push_back(whole_with(a,
                              fractions_.at_least(low.value.fraction, low.open, 0, kMostFraction),
                              low.value.fraction.empty() && !low.open));
    ways.push_back(whole_with(b,
                              fractions_.at_most(high.value.fraction, high.open, 0, kMostFraction),
                              !high.value.fraction.empty() || !high.open));
    const std::string from = plus_one(a), to = minus_one(b);
    if (!is_below(to, from)) {
      std::vector<ExprId> wholes;
      add_wholes(rules_, from, to, wholes);
      ways.push_back(
          rules_.seq({rules_.alt(std::move(wholes)),
                      rules_.optional(with_point(rules_, digits(rules_, 1, kMostFraction)))}));
    }
    return rules_.alt(std::move(ways));
  }

 private:
  static bool is_in(const Bound& whole, const Bound& low, const Bound& high) {
    return whole.value.fraction.empty() && !low.open && !(high.open && high.value.fraction.empty());
  }
  // `alone`: the whole number without a point is one of them.
  ExprId whole_with(const std::string& whole, ExprId fraction, bool alone) {
    // A digit follows the point, although a fraction that is left out may be within the bounds.
    const ExprId pointed =
        rules_.seq({rules_.literal(whole), with_point(rules_, not_empty(fraction))});
    return alone ? rules_.alt({rules_.literal(whole), pointed}) : pointed;
  }
  // The same texts without the empty one.
  ExprId not_empty(ExprId id) {
    const Expr expr = rules_.exprs()[static_cast<std::size_t>(id)];
    switch (expr.kind) {
      case Expr::Kind::kLiteral:
        return expr.text.empty() ? rules_.never() : id;
      case Expr::Kind::kRepeat:
        if (expr.min > 0 || expr.max == 0) return expr.max == 0 ? rules_.never() : id;
        return rules_.repeat(expr.parts.front(), 1, expr.max);
      case Expr::Kind::kAlt: {
        std::vector<ExprId> ways;
        for (const ExprId part : expr.parts) ways.push_back(not_empty(part));
        return rules_.alt(std::move(ways));
      }
      default:
        return id;  // a sequence here begins with a digit
    }
  }

  Rules& rules_;
  Fractions fractions_;
};

const Bound& zero() {
  static const Bound bound;
  return bound;
}

Bound largest() { return {{false, std::string(kMostWhole, '9'), ""}, false}; }
Bound smallest() { return {{true, std::string(kMostWhole, '9'), ""}, false}; }

Bound negated(Bound bound) {
  bound.value.negative = !bound.value.negative;
  return bound;
}

// Bounds of integers as wholes that are in.
Bound rounded(const Bound& bound, bool up) {
  Bound out = bound;
  out.open = false;
  out.value.fraction.clear();
  const bool has_fraction = !bound.value.fraction.empty();
  const bool away = up != bound.value.negative;  // rounding goes away from zero
  if ((has_fraction && away) || (!has_fraction && bound.open)) {
    const bool grows = has_fraction || away;
    if (grows) {
      out.value.whole = plus_one(out.value.whole);
    } else if (out.value.whole == "0") {  // open at zero, towards the other side
      out.value = {!out.value.negative, "1", ""};
    } else {
      out.value.whole = minus_one(out.value.whole);
    }
  }
  if (out.value.is_zero()) out.value.negative = false;
  return out;
}

Error none_between(const Bounds& bounds) {
  const auto shown = [](const std::optional<Bound>& bound) {
    return bound ? str(bound->value.text(), bound->open ? " (left out)" : "")
                 : std::string("no bound");
  };
  return {Code::kInvalid,
          str("There is no number from ", shown(bounds.low), " to ", shown(bounds.high), ".")};
}

std::int64_t to_int(const Decimal& value) {
  const std::int64_t size = std::strtoll(value.whole.c_str(), nullptr, 10);
  return value.negative ? -size : size;
}

// All multiples in any order of digits: what is left of the number so far after division, and how
// many digits may still follow, decide which digits end it.
ExprId multiples(Rules& rules, std::int64_t of) {
  std::vector<ExprId> shorter(static_cast<std::size_t>(of), rules.empty());
  for (std::int64_t r = 1; r < of; ++r) shorter[static_cast<std::size_t>(r)] = rules.never();
  for (int length = 1; length < kMostWhole; ++length) {
    std::vector<ExprId> longer;
    for (std::int64_t r = 0; r < of; ++r) {
      std::vector<ExprId> ways;
      if (r == 0) ways.push_back(rules.empty());
      for (int d = 0; d < 10; ++d) {
        ways.push_back(rules.seq({rules.byte(static_cast<unsigned char>('0' + d)),
                                  shorter[static_cast<std::size_t>((10 * r + d) % of)]}));
      }
      longer.push_back(rules.call(rules.rule("a multiple's digits", rules.alt(std::move(ways)))));
    }
    shorter = std::move(longer);
  }
  std::vector<ExprId> ways;
  for (int d = 1; d < 10; ++d) {
    ways.push_back(rules.seq({rules.byte(static_cast<unsigned char>('0' + d)),
                              shorter[static_cast<std::size_t>(d % of)]}));
  }
  return rules.alt(
      {rules.byte('0'), rules.seq({rules.optional(rules.byte('-')), rules.alt(std::move(ways))})});
}

Result<ExprId> multiples_between(Rules& rules, const Bound& low, const Bound& high,
                                 std::int64_t of) {
  const std::int64_t a = to_int(low.value), b = to_int(high.value);
  std::int64_t first = a / of * of;
  if (first < a) first += of;
  if (first > b) {
    return Error{Code::kInvalid, str("There is no multiple of ", of, " from ", a, " to ", b, ".")};
  }
  if ((b - first) / of >= kMostListed) {
    return Error{Code::kUnsupported,
                 str("Multiples of ", of, " from ", a, " to ", b, " are more than ", kMostListed,
                     ", expected narrower bounds or none.")};
  }
  std::vector<ExprId> ways;
  for (std::int64_t value = first; value <= b; value += of)
    ways.push_back(rules.literal(std::to_string(value)));
  return rules.alt(std::move(ways));
}

}  // namespace

std::optional<Decimal> Decimal::parse(std::string_view lexeme) {
  constexpr std::int64_t kMost = 60;
  Decimal out;
  if (lexeme.starts_with('-')) {
    out.negative = true;
    lexeme.remove_prefix(1);
  }
  const std::size_t e = lexeme.find_first_of("eE");
  std::int64_t exponent = 0;
  if (e != lexeme.npos)
    exponent = std::strtoll(std::string(lexeme.substr(e + 1)).c_str(), nullptr, 10);
  const std::string_view mantissa = lexeme.substr(0, e);
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  std::string digits(mantissa.substr(0, point));
  const std::string_view behind = mantissa.substr(std::min(point + 1, mantissa.size()));
  digits += behind;
  if (digits.find_first_not_of('0') == digits.npos) return Decimal();
  if (std::abs(exponent) > kMost || static_cast<std::int64_t>(digits.size()) > kMost)
    return std::nullopt;
  std::int64_t whole = static_cast<std::int64_t>(point) + exponent;  // digits before the point
  if (whole < 0) digits.insert(0, static_cast<std::size_t>(-whole), '0');
  whole = std::max<std::int64_t>(whole, 0);
  if (whole > static_cast<std::int64_t>(digits.size()))
    digits.append(static_cast<std::size_t>(whole) - digits.size(), '0');
  out.whole = without_leading_zeros(digits.substr(0, static_cast<std::size_t>(whole)));
  out.fraction = digits.substr(static_cast<std::size_t>(whole));
  out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
  return out;
}

std::string Decimal::text() const {
  return str(negative ? "-" : "", whole, fraction.empty() ? "" : ".", fraction);
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.is_zero() && b.is_zero()) return 0;
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? compare_sizes(b, a) : compare_sizes(a, b);
}

Result<ExprId> integers(Rules& rules, const Bounds& bounds, std::int64_t multiple_of) {
  if (multiple_of > 1 && !bounds.low && !bounds.high) {
    if (multiple_of <= kMostMultiple) return multiples(rules, multiple_of);
    return Error{Code::kUnsupported,
                 str("Multiples of ", multiple_of, " need bounds; without them ", kMostMultiple,
                     " is the most.")};
  }
  if (!bounds.low && !bounds.high) {
    const ExprId size = rules.seq({rules.bytes('1', '9'), digits(rules, 0, kMostWhole - 1)});
    return rules.alt({rules.byte('0'), rules.seq({rules.optional(rules.byte('-')), size})});
  }
  Bound low = rounded(bounds.low.value_or(smallest()), true);
  Bound high = rounded(bounds.high.value_or(largest()), false);
  if (compare(low.value, high.value) > 0) return none_between(bounds);
  if (multiple_of > 1) {
    if (low.value.whole.size() > kMostWhole || high.value.whole.size() > kMostWhole)
      return Error{Code::kUnsupported, "Multiples of more than 18 digits are not offered."};
    return multiples_between(rules, low, high, multiple_of);
  }
  std::vector<ExprId> ways;
  if (low.value.negative) {
    const std::string from = high.value.negative ? high.value.whole : "1";
    std::vector<ExprId> sizes;
    add_wholes(rules, from, low.value.whole, sizes);
    ways.push_back(rules.seq({rules.byte('-'), rules.alt(std::move(sizes))}));
  }
  if (!high.value.negative)
    add_wholes(rules, low.value.negative ? "0" : low.value.whole, high.value.whole, ways);
  return rules.alt(std::move(ways));
}

Result<ExprId> numbers(Rules& rules, const Bounds& bounds) {
  if (!bounds.low && !bounds.high) {
    const ExprId whole = rules.alt(
        {rules.byte('0'), rules.seq({rules.bytes('1', '9'), digits(rules, 0, kMostWhole - 1)})});
    const ExprId exponent = rules.seq(
        {rules.alt({rules.byte('e'), rules.byte('E')}),
         rules.optional(rules.alt({rules.byte('+'), rules.byte('-')})), digits(rules, 1, 2)});
    return rules.seq({rules.optional(rules.byte('-')), whole,
                      rules.optional(with_point(rules, digits(rules, 1, kMostFraction))),
                      rules.optional(exponent)});
  }
  const Bound low = bounds.low.value_or(smallest());
  const Bound high = bounds.high.value_or(largest());
  const int order = compare(low.value, high.value);
  if (order > 0 || (order == 0 && (low.open || high.open))) return none_between(bounds);
  Sizes sizes(rules);
  std::vector<ExprId> ways;
  if (compare(low.value, zero().value) < 0) {
    const bool crosses = compare(high.value, zero().value) >= 0;
    const Bound from = crosses ? Bound{zero().value, true} : negated(high);
    ways.push_back(rules.seq({rules.byte('-'), sizes.numbers(from, negated(low))}));
  }
  if (compare(high.value, zero().value) >= 0) {
    const Bound from = compare(low.value, zero().value) < 0 ? zero() : low;
    if (compare(high.value, zero().value) > 0 || !high.open)
      ways.push_back(sizes.numbers(from, high));
  }
  return rules.alt(std::move(ways));
}

}  // namespace plumb::grammar
