// TOML in ASCII only, for a parser that must not see anything else.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace plumb {

// toml++ 3.3 asks of characters outside of strings whether they are white space, and for most that
// are not ASCII its answer is undefined behaviour. So every byte that is not ASCII becomes "~" and
// two hexadecimal digits, as does "~" itself: "~" may stand in strings and comments and nowhere
// else, like the characters that it hides. Lines stay what they are; a byte order mark is left out.
// kCorrupt, with the line: not UTF-8; or "~" as an escape (\u007e), which could not be told apart.
// `what` names the text.
Result<std::string> to_ascii_toml(std::string_view text, std::string_view what);

// What a string, a key or a message of the parser was before.
std::string from_ascii_toml(std::string_view text);

}  // namespace plumb
