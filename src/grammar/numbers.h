// Numbers of JSON within bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/rules.h"

namespace plumb::grammar {

// A decimal number as digits: exact, unlike a double.
struct Decimal {
  bool negative = false;
  std::string whole = "0";  // without leading zeros
  std::string fraction;     // without trailing zeros

  // Of a JSON number; nullopt: more than 60 digits would have to be written out.
  static std::optional<Decimal> parse(std::string_view lexeme);
  bool is_zero() const { return whole == "0" && fraction.empty(); }
  std::string text() const;
};
// Below, equal or above 0 as a is below, equal to or above b.
int compare(const Decimal& a, const Decimal& b);

struct Bound {
  Decimal value;
  bool open = false;  // the value itself is left out
};
struct Bounds {
  std::optional<Bound> low, high;
};

// Integers as JSON usually spells them (no sign of zero, no leading zeros, no exponent), of 18
// digits at most where a bound is missing. A multiple_of above 1 lets through its multiples.
// kInvalid: there is none; kUnsupported: multiples within bounds that are far apart.
Result<ExprId> integers(Rules& rules, const Bounds& bounds, std::int64_t multiple_of = 1);

// Numbers with up to 18 digits before and 17 after the point; without bounds also with an exponent
// of two digits. kInvalid: there is none between the bounds.
Result<ExprId> numbers(Rules& rules, const Bounds& bounds);

}  // namespace plumb::grammar
