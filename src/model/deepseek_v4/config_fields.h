// Reading the fields of a config.json, with sentences for what is wrong.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace plumb::deepseek_v4 {

// A JSON object with a name for messages. Borrows the tree.
class Fields {
 public:
  // `reference`: the object uses the published reference program's spelling.
  Fields(const Json& object, std::string what, bool reference)
      : object_(object), what_(std::move(what)), reference_(reference) {}

  const std::string& what() const { return what_; }
  bool reference() const { return reference_; }
  const Json* find(std::string_view key) const { return object_.find(key); }

  Error wrong(std::string_view key, const std::string& value, const std::string& expected) const {
    return {Code::kCorrupt, sentence(key, value, expected)};
  }
  Error unsupported(std::string_view key, const Json& value, const std::string& expected) const {
    return {Code::kUnsupported, sentence(key, value.dump().substr(0, kMaxShown), expected)};
  }
  Error unsupported(std::string_view key, std::int64_t value, const std::string& expected) const {
    return {Code::kUnsupported, sentence(key, std::to_string(value), expected)};
  }

  Result<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max) const {
    const Json* value = find(key);
    if (value == nullptr) return missing(key, range(min, max));
    return integer_of(key, *value, min, max);
  }
  Result<std::int64_t> integer_or(std::string_view key, std::int64_t fallback, std::int64_t min,
                                  std::int64_t max) const {
    const Json* value = find(key);
    if (value == nullptr || value->is_null()) return fallback;
    return integer_of(key, *value, min, max);
  }
  Result<double> real(std::string_view key, double min, double max) const {
    const Json* value = find(key);
    if (value == nullptr) return missing(key, "a number");
    const auto number = value->as_double();
    if (!number || !std::isfinite(*number) || *number < min || *number > max) {
      return wrong(key, value->dump().substr(0, kMaxShown),
                   "a number from " + Json::real(min).text() + " to " + Json::real(max).text());
    }
    return *number;
  }
  Result<double> real_or(std::string_view key, double fallback, double min, double max) const {
    const Json* value = find(key);
    if (value == nullptr || value->is_null()) return fallback;
    return real(key, min, max);
  }
  Result<std::vector<std::int64_t>> integers(std::string_view key, std::int64_t min,
                                             std::int64_t max) const {
    PLUMB_TRY(list, array(key));
    std::vector<std::int64_t> out;
    for (const Json& item : list->items()) {
      PLUMB_TRY(value, integer_of(key, item, min, max));
      out.push_back(value);
    }
    return out;
  }
  // A list of exactly `count` strings.
  Result<std::vector<std::string>> texts(std::string_view key, std::int64_t count) const {
    PLUMB_TRY(list, array(key));
    if (static_cast<std::int64_t>(list->items().size()) != count) {
      return wrong(key, "a list of " + std::to_string(list->items().size()),
                   std::to_string(count) + " entries, one per layer");
    }
    std::vector<std::string> out;
    for (const Json& item : list->items()) {
      if (!item.is_string()) return wrong(key, item.dump().substr(0, kMaxShown), "strings");
      out.push_back(item.text());
    }
    return out;
  }

 private:
  static constexpr std::size_t kMaxShown = 80;

  static std::string range(std::int64_t min, std::int64_t max) {
    return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  }
  std::string sentence(std::string_view key, const std::string& value,
                       const std::string& expected) const {
    return what_ + ": " + std::string(key) + " is " + value + ", expected " + expected + ".";
  }
  Error missing(std::string_view key, const std::string& expected) const {
    return {Code::kCorrupt,
            what_ + " has no \"" + std::string(key) + "\"; expected " + expected + "."};
  }
  Result<std::int64_t> integer_of(std::string_view key, const Json& value, std::int64_t min,
                                  std::int64_t max) const {
    const auto number = value.as_int();
    if (!number || *number < min || *number > max) {
      return wrong(key, value.dump().substr(0, kMaxShown), range(min, max));
    }
    return *number;
  }
  Result<const Json*> array(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) return missing(key, "a list");
    if (!value->is_array()) return wrong(key, value->dump().substr(0, kMaxShown), "a list");
    return value;
  }

  const Json& object_;
  std::string what_;
  bool reference_;
};

}  // namespace plumb::deepseek_v4
