// JSON as a value tree: order of keys kept, number lexemes kept, limits on depth and size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace plumb {

// One JSON value. Objects keep their keys in the order of the text (a repeated key is an error of
// parse()). Numbers keep the characters they were written with, so that writing is lossless and a
// 64-bit integer never passes through a double. Value type, thread-compatible.
class Json {
 public:
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };
  using Member = std::pair<std::string, Json>;

  Json() = default;  // null
  static Json null() { return Json(); }
  static Json boolean(bool value);
  static Json number(std::string lexeme);  // must be a JSON number, as written
  static Json integer(std::int64_t value);
  static Json real(double value);         // shortest form that reads back the same
  static Json string(std::string value);  // UTF-8
  static Json array(std::vector<Json> items = {});
  static Json object(std::vector<Member> members = {});

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_number() const { return kind_ == Kind::kNumber; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // Typed views; nullopt when the kind (or, for integers, the range) does not fit.
  std::optional<bool> as_bool() const;
  std::optional<std::int64_t> as_int() const;  // 3 and 3.0 and 3e0 are integers, 3.5 is not
  std::optional<double> as_double() const;
  const std::string& text() const { return text_; }  // string contents, or the number's lexeme
  const std::vector<Json>& items() const { return items_; }  // arrays
  std::vector<Json>& items() { return items_; }
  const std::vector<Member>& members() const { return members_; }  // objects
  std::vector<Member>& members() { return members_; }

  const Json* find(std::string_view key) const;  // nullptr: absent, or not an object
  void set(std::string key, Json value);         // replaces in place, or appends

  // Python's json.dumps(value, ensure_ascii=False): separators ", " and ": ", floats in Python's
  // repr, everything else as written. This is the spelling models were trained on.
  std::string dump_python() const;
  // Compact (no spaces), valid JSON; number lexemes as written.
  std::string dump() const;
  // Indented by `spaces`, for people.
  std::string dump_pretty(int spaces = 2) const;

 private:
  Kind kind_ = Kind::kNull;
  bool bool_ = false;
  std::string text_;
  std::vector<Json> items_;
  std::vector<Member> members_;
};

struct JsonLimits {
  std::size_t max_depth = 64;
  std::size_t max_bytes = std::size_t{64} << 20;
  bool repeated_keys = false;  // taken, all of them; find() gives the first
};

// Parses one complete JSON text (surrounding white space allowed). `what` names the source in error
// messages ("config.json"). Refuses (kCorrupt): malformed text, invalid UTF-8, repeated keys (unless allowed),
// anything past the limits; the message says what and at which byte.
Result<Json> parse_json(std::string_view text, std::string_view what,
                        const JsonLimits& limits = {});

// A string as a JSON literal with quotes, non-ASCII left as is (Python's ensure_ascii=False).
std::string json_quote(std::string_view text);

}  // namespace plumb
