// The keywords of JSON Schema: what each speaks of, and schemas put together from several.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace plumb::grammar {

// kUnsupported names a keyword of `node` that is not offered; kInvalid: a value of the wrong kind.
// Annotations and names that JSON Schema does not define pass.
Status check_keywords(const Json& node, const std::string& path);

// The types that `node` lets through as far as type, enum and const say it, in the order in which
// it names them; else those that its other keywords speak of; empty: any.
Result<std::vector<std::string>> types_of(const Json& node, const std::string& path);

// Whether the node says more than annotations beside the keyword `but`.
bool says_more_than(const Json& node, std::string_view but);

// The schema that both demand. kUnsupported names what cannot be put together.
Result<Json> merged(const Json& a, const Json& b, const std::string& path);

// As `type` spells it; whole numbers are "integer".
std::string type_name(const Json& value);
// The schema that lets nothing through. Null is none.
bool is_false(const Json* schema);
bool has(const std::vector<std::string>& names, std::string_view name);

// As JSON Schema compares: numbers by value, objects without regard to order.
bool same_value(const Json& a, const Json& b);

// The node without one keyword.
Json without(const Json& node, std::string_view keyword);

// No value satisfies both, and it can be seen from types, constants or required properties.
bool exclude_each_other(const Json& a, const Json& b);

}  // namespace plumb::grammar
