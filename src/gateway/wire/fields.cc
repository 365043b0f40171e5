#include "gateway/wire/fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"

namespace plumb::wire {
namespace {

// "messages[12].foo" -> "messages[].foo": one line of a log for a thousand messages.
std::string without_indices(std::string_view path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) out += c;
    if (c == '[') inside = true;
  }
  return out;
}

}  // namespace

void Reading::refuse(std::string param, std::string message, std::string code) {
  if (refusal) return;
  refusal = Refusal{400, std::move(message), std::move(param), std::move(code), std::nullopt};
}

void Reading::ignore(std::string path) {
  if (ignored.size() == kMostIgnored) return;
  if (std::find(ignored.begin(), ignored.end(), path) == ignored.end()) {
    ignored.push_back(std::move(path));
  }
}

std::string shown(const Json& value) {
  constexpr std::size_t kMost = 80;
  std::string text = value.dump();
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

Fields::Fields(const Json& object, std::string where, Reading& reading)
    : object_(object),
      where_(std::move(where)),
      reading_(reading),
      known_(object.members().size()) {
  if (object.is_object()) return;
  reading_.refuse(where_, str(where_.empty() ? "The body" : where_, " is ", shown(object),
                              ", expected an object."));
}

Fields::~Fields() {
  if (all_known_ || !reading_.ok()) return;
  for (std::size_t i = 0; i < known_.size(); ++i) {
    if (known_[i]) continue;
    if (reading_.ignored.size() == kMostIgnored) return;
    reading_.ignore(without_indices(path(object_.members()[i].first)));
  }
}

std::string Fields::path(std::string_view key) const {
  return where_.empty() ? std::string(key) : where_ + "." + std::string(key);
}

void Fields::refuse(std::string_view key, std::string_view expected) {
  const Json* value = object_.find(key);
  reading_.refuse(path(key),
                  value ? str(path(key), " is ", shown(*value), ", expected ", expected, ".")
                        : str(path(key), " is missing, expected ", expected, "."));
}

const Json* Fields::get(std::string_view key) {
  if (!reading_.ok()) return nullptr;
  const auto& members = object_.members();
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].first != key) continue;
    known_[i] = true;
    return members[i].second.is_null() ? nullptr : &members[i].second;
  }
  return nullptr;
}

std::optional<std::string> Fields::string(std::string_view key) {
  const Json* value = get(key);
  if (!value) return std::nullopt;
  if (value->is_string()) return value->text();
  refuse(key, "a string");
  return std::nullopt;
}

std::optional<bool> Fields::boolean(std::string_view key) {
  const Json* value = get(key);
  if (!value) return std::nullopt;
  if (const auto flag = value->as_bool()) return flag;
  refuse(key, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> Fields::integer(std::string_view key, std::int64_t low,
                                            std::int64_t high) {
  const Json* value = get(key);
  if (!value) return std::nullopt;
  const auto number = value->is_number() ? value->as_int() : std::nullopt;
  if (number && *number >= low && *number <= high) return number;
  refuse(key, str("an integer from ", low, " to ", high));
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view key, double low, double high) {
  const Json* value = get(key);
  if (!value) return std::nullopt;
  const auto number = value->is_number() ? value->as_double() : std::nullopt;
  if (number && std::isfinite(*number) && *number >= low && *number <= high) return number;
  refuse(key, str("a number from ", low, " to ", high));
  return std::nullopt;
}

const Json* Fields::array(std::string_view key) {
  const Json* value = get(key);
  if (!value || value->is_array()) return value;
  refuse(key, "an array");
  return nullptr;
}

const Json* Fields::object(std::string_view key) {
  const Json* value = get(key);
  if (!value || value->is_object()) return value;
  refuse(key, "an object");
  return nullptr;
}

std::string Fields::required_string(std::string_view key) {
  const auto value = string(key);
  if (!value) refuse(key, "a string");
  return value.value_or("");
}

const Json* Fields::required(std::string_view key) {
  const Json* value = get(key);
  if (!value) refuse(key, "a value");
  return value;
}

void Fields::unsupported(std::string_view key, std::string_view why, std::string_view harmless) {
  const Json* value = get(key);
  if (!value || (!harmless.empty() && value->dump() == harmless)) return;
  reading_.refuse(path(key), str(path(key), " is ", shown(*value), ", but ", why, "."),
                  "unsupported_parameter");
}

}  // namespace plumb::wire
