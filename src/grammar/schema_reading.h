// What the parts of the schema compiler read of a schema in the same way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/rules.h"

namespace plumb::grammar {

// Of schemas within schemas; what refers to itself is not nested.
inline constexpr int kMostSchemaDepth = 100;

// Each once, in their order.
std::vector<std::string> required_names(const Json& node);

struct Counts {
  int min = 0, max = kUnbounded;
};
// Two keywords that say how many. kInvalid: none at all; kUnsupported: too many are needed.
Result<Counts> counts(const Json& node, const std::string& path, const char* min, const char* max);

// No value satisfies two of the alternatives of a oneOf; kUnsupported: it cannot be seen.
Status check_exclusive(const std::vector<Json>& ways, const std::string& path);

// The error with the path before its message.
Error at(const std::string& path, const Error& error);

}  // namespace plumb::grammar
