#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace plumb {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The grammar of RFC 8259 for numbers.
bool is_number_lexeme(std::string_view s) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < s.size() && is_digit(s[i])) ++i;
    return i > start;
  };
  if (i < s.size() && s[i] == '-') ++i;
  if (i < s.size() && s[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == s.size();
}

// A lexeme as ±digits·10^exponent, digits without zeros at either end (empty: zero).
struct Decimal {
  bool negative = false;
  std::string digits;
  std::int64_t exponent = 0;
};

Decimal decimal_of(std::string_view lexeme) {
  // An exponent this large decides the answer whatever the digits of a text we would read.
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  Decimal out;
  std::size_t i = 0;
  if (i < lexeme.size() && lexeme[i] == '-') {
    out.negative = true;
    ++i;
  }
  for (bool fraction = false; i < lexeme.size() && (is_digit(lexeme[i]) || lexeme[i] == '.'); ++i) {
    if (lexeme[i] == '.') {
      fraction = true;
      continue;
    }
    out.digits.push_back(lexeme[i]);
    if (fraction) --out.exponent;
  }
  if (i < lexeme.size()) {
    ++i;  // e or E
    if (i < lexeme.size() && lexeme[i] == '+') ++i;
    std::int64_t written = 0;
    const auto end = lexeme.data() + lexeme.size();
    const auto read = std::from_chars(lexeme.data() + i, end, written);
    if (read.ec == std::errc::result_out_of_range) written = lexeme[i] == '-' ? -kHuge : kHuge;
    out.exponent += std::clamp(written, -kHuge, kHuge);
  }
  out.digits.erase(0, std::min(out.digits.find_first_not_of('0'), out.digits.size()));
  while (!out.digits.empty() && out.digits.back() == '0') {
    out.digits.pop_back();
    ++out.exponent;
  }
  return out;
}

}  // namespace

Json Json::boolean(bool value) {
  Json out;
  out.kind_ = Kind::kBool;
  out.bool_ = value;
  return out;
}

Json Json::number(std::string lexeme) {
  PLUMB_CHECK(is_number_lexeme(lexeme));
  Json out;
  out.kind_ = Kind::kNumber;
  out.text_ = std::move(lexeme);
  return out;
}

Json Json::integer(std::int64_t value) { return number(std::to_string(value)); }

Json Json::string(std::string value) {
  Json out;
  out.kind_ = Kind::kString;
  out.text_ = std::move(value);
  return out;
}

Json Json::array(std::vector<Json> items) {
  Json out;
  out.kind_ = Kind::kArray;
  out.items_ = std::move(items);
  return out;
}

Json Json::object(std::vector<Member> members) {
  Json out;
  out.kind_ = Kind::kObject;
  out.members_ = std::move(members);
  return out;
}

std::optional<bool> Json::as_bool() const {
  if (!is_bool()) return std::nullopt;
  return bool_;
}

std::optional<std::int64_t> Json::as_int() const {
  if (!is_number()) return std::nullopt;
  Decimal d = decimal_of(text_);
  if (d.digits.empty()) return 0;
  if (d.exponent < 0 || static_cast<std::int64_t>(d.digits.size()) + d.exponent > 19) {
    return std::nullopt;
  }
  d.digits.append(static_cast<std::size_t>(d.exponent), '0');
  if (d.negative) d.digits.insert(d.digits.begin(), '-');
  std::int64_t value = 0;
  const auto read = std::from_chars(d.digits.data(), d.digits.data() + d.digits.size(), value);
  if (read.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> Json::as_double() const {
  if (!is_number()) return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (read.ec == std::errc()) return value;
  const Decimal d = decimal_of(text_);
  const bool large = static_cast<std::int64_t>(d.digits.size()) + d.exponent > 0;
  value = large && !d.digits.empty() ? std::numeric_limits<double>::infinity() : 0.0;
  return d.negative ? -value : value;
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : members_) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

void Json::set(std::string key, Json value) {
  PLUMB_CHECK(is_object());
  for (Member& member : members_) {
    if (member.first == key) {
      member.second = std::move(value);
      return;
    }
  }
  members_.emplace_back(std::move(key), std::move(value));
}

}  // namespace plumb
