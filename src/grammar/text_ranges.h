// Ranges of texts of equal length, of which numbers and encoded characters are made.
#pragma once

#include <string_view>

#include "grammar/rules.h"

namespace plumb::grammar {

struct ByteRange {
  unsigned char low = 0, high = 0;
};

// The texts from `low` to `high`, both included, in the order of their bytes. Both are equally
// long, at least one byte, and low is not above high; all bytes but the first range over `behind`.
ExprId texts_between(Rules& rules, std::string_view low, std::string_view high, ByteRange behind);

}  // namespace plumb::grammar
