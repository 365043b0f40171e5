// The string formats of JSON Schema that are enforced.
#pragma once

#include <string_view>

namespace plumb::grammar {

// A regular expression (regex.h) for the whole text; empty: the format is an annotation only.
std::string_view format_pattern(std::string_view format);

}  // namespace plumb::grammar
