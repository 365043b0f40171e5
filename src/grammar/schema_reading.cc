#include "grammar/schema_reading.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "grammar/schema_keywords.h"

namespace plumb::grammar {
namespace {

constexpr int kMostLength = 20'000;  // of bounded strings and arrays

}  // namespace

std::vector<std::string> required_names(const Json& node) {
  std::vector<std::string> names;
  if (const Json* required = node.find("required")) {
    for (const Json& item : required->items()) {
      if (!has(names, item.text())) names.push_back(item.text());
    }
  }
  return names;
}

Result<Counts> counts(const Json& node, const std::string& path, const char* min, const char* max) {
  Counts out;
  const Json *low = node.find(min), *high = node.find(max);
  for (const auto& [name, value] : {std::pair(min, low), std::pair(max, high)}) {
    if (value && *value->as_int() > kMostLength && name == min) {
      return Error{Code::kUnsupported, str(path, ".", name, " is ", value->text(),
                                           ", expected at most ", kMostLength, ".")};
    }
  }
  if (low) out.min = static_cast<int>(*low->as_int());
  // Nobody asks for a limit that high to have it kept.
  if (high && *high->as_int() <= kMostLength) out.max = static_cast<int>(*high->as_int());
  if (high && *high->as_int() < out.min) {
    return Error{Code::kInvalid, str(path, " has ", min, " ", out.min, " above ", max, " ",
                                     high->text(), ": no value has both.")};
  }
  return out;
}

// No value satisfies two of the alternatives of a oneOf.
Status check_exclusive(const std::vector<Json>& ways, const std::string& path) {
  constexpr std::size_t kMostWays = 128;  // every two are compared
  if (ways.size() > kMostWays) {
    return Error{Code::kUnsupported,
                 str(path, ".oneOf has ", ways.size(), " alternatives, expected at most ",
                     kMostWays, ", or anyOf.")};
  }
  for (std::size_t i = 0; i < ways.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (exclude_each_other(ways[i], ways[j])) continue;
      return Error{
          Code::kUnsupported,
          str(path, ".oneOf has two alternatives, ", j, " and ", i,
              ", that one value could satisfy at once as far as can be seen, which is not "
              "offered; expected anyOf, or alternatives with different types or constants.")};
    }
  }
  return {};
}

Error at(const std::string& path, const Error& error) {
  return {error.code, str(path, ": ", error.message)};
}

}  // namespace plumb::grammar
