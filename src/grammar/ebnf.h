// Grammars as people write them.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/rules.h"

namespace plumb::grammar {

// The dialect (docs/GRAMMARS.md), which is also that of llama.cpp's GBNF files as far as it goes:
//
//   root ::= greeting (", " name)* "!"      # the whole reply is a `root`
//   greeting ::= "Hello" | "Good " ("day" | "evening")
//   name ::= [A-Z] [a-z]{1,20}
//
// Names are letters, digits, - and _; a rule ends where the next one begins. Texts stand in double
// quotes with the escapes \" \\ \n \r \t \xHH \uHHHH \u{H...}; classes in brackets as in regular
// expressions; "." is any character; | alternatives, () groups, * + ? {m} {m,} {m,n} repetitions.
// No rule may begin with itself.
// kInvalid says what is wrong in which line.
Result<RuleId> ebnf(Rules& rules, std::string_view text);

}  // namespace plumb::grammar
