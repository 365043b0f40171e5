// Regular expressions as grammars: the part of ECMA-262's dialect that is regular.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/characters.h"
#include "grammar/rules.h"

namespace plumb::grammar {

struct RegexOptions {
  Spelling spelling = Spelling::kRaw;
  // The pattern may match anywhere, as in JSON Schema, unless ^ and $ say otherwise; else it stands
  // for the whole text.
  bool anywhere = false;
};

// The texts that match. Understood: characters, ".", classes with ranges and \d \w \s, their
// opposites, \t \n \r \f \v \0 \xHH \uHHHH \u{H...} \cX, groups (also (?:...) and (?<name>...)),
// alternatives, * + ? {m} {m,} {m,n} (also lazy, which here means the same), and ^ and $ where
// they stand at the beginning and end of an alternative.
// kInvalid or kUnsupported says what is wrong at which character: look-around, references, \b and
// \p are not regular or not offered. Nesting goes 200 deep, counts up to 10,000.
Result<ExprId> regex(Rules& rules, std::string_view pattern, const RegexOptions& options = {});

}  // namespace plumb::grammar
