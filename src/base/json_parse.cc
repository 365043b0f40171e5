// Text to Json, on Boost.JSON's event parser. Our own tree, because theirs turns numbers into
// doubles and forgets how they were written.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <string>

#include "base/json.h"

namespace plumb {
namespace {

namespace bj = boost::json;
using Text = bj::string_view;

// Receives the parser's events. Finished values wait on a stack until their array or object ends,
// so every vector is allocated once at its final size.
struct Handler {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  std::vector<Json> values;
  std::vector<std::string> keys;
  std::string part;          // the string, key or number being read
  bool repeats_allowed = false;
  std::string repeated_key;  // set with an error

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_array_begin(bj::error_code&) { return true; }
  bool on_object_begin(bj::error_code&) { return true; }

  bool on_array_end(std::size_t count, bj::error_code&) {
    std::vector<Json> items;
    items.reserve(count);
    const auto first = values.end() - static_cast<std::ptrdiff_t>(count);
    std::move(first, values.end(), std::back_inserter(items));
    values.erase(first, values.end());
    values.push_back(Json::array(std::move(items)));
    return true;
  }

  bool on_object_end(std::size_t count, bj::error_code& ec) {
    const auto value = values.end() - static_cast<std::ptrdiff_t>(count);
    const auto key = keys.end() - static_cast<std::ptrdiff_t>(count);
    if (has_repeat(key, keys.end())) {
      ec = bj::error::syntax;
      return false;
    }
    std::vector<Json::Member> members;
    members.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(i);
      members.emplace_back(std::move(key[at]), std::move(value[at]));
    }
    values.erase(value, values.end());
    keys.erase(key, keys.end());
    values.push_back(Json::object(std::move(members)));
    return true;
  }

  bool on_key_part(Text s, std::size_t, bj::error_code&) { return append(s); }
  bool on_key(Text s, std::size_t, bj::error_code&) {
    append(s);
    keys.push_back(take());
    return true;
  }
  bool on_string_part(Text s, std::size_t, bj::error_code&) { return append(s); }
  bool on_string(Text s, std::size_t, bj::error_code&) {
    append(s);
    values.push_back(Json::string(take()));
    return true;
  }
  bool on_number_part(Text s, bj::error_code&) { return append(s); }
  bool on_int64(std::int64_t, Text s, bj::error_code&) { return number(s); }
  bool on_uint64(std::uint64_t, Text s, bj::error_code&) { return number(s); }
  bool on_double(double, Text s, bj::error_code&) { return number(s); }
  bool on_bool(bool value, bj::error_code&) {
    values.push_back(Json::boolean(value));
    return true;
  }
  bool on_null(bj::error_code&) {
    values.emplace_back();
    return true;
  }
  bool on_comment_part(Text, bj::error_code&) { return true; }
  bool on_comment(Text, bj::error_code&) { return true; }

 private:
  using Keys = std::vector<std::string>::iterator;

  bool append(Text s) {
    part.append(s.data(), s.size());
    return true;
  }
  std::string take() {
    std::string out(part);
    part.clear();
    return out;
  }
  bool number(Text s) {
    append(s);
    values.push_back(Json::number(take()));
    return true;
  }

  bool has_repeat(Keys first, Keys last) {
    if (repeats_allowed) return false;
    std::vector<std::string_view> sorted(first, last);
    std::sort(sorted.begin(), sorted.end());
    const auto twin = std::adjacent_find(sorted.begin(), sorted.end());
    if (twin == sorted.end()) return false;
    repeated_key = *twin;
    return true;
  }
};

std::string reason(const bj::error_code& ec, const JsonLimits& limits) {
  if (ec == bj::error::incomplete) return "the text ends in the middle of a value";
  if (ec == bj::error::too_deep) {
    return "values are nested deeper than " + std::to_string(limits.max_depth) + " levels";
  }
  if (ec == bj::error::extra_data) return "there is more text after the first value";
  if (ec == bj::error::exponent_overflow) return "a number's exponent is out of range";
  if (ec == bj::error::illegal_leading_surrogate || ec == bj::error::illegal_trailing_surrogate ||
      ec == bj::error::expected_utf16_escape) {
    return "a \\u escape is half of a surrogate pair";
  }
  return "it is not well-formed JSON in UTF-8 (" + ec.message() + ")";
}

Error refuse(std::string_view what, const std::string& why, std::size_t at) {
  return Error{Code::kCorrupt, std::string(what) + " cannot be read as JSON: " + why +
                                   ", at byte " + std::to_string(at) + "."};
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error{Code::kCorrupt, std::string(what) + " holds " + std::to_string(text.size()) +
                                     " bytes of JSON; at most " + std::to_string(limits.max_bytes) +
                                     " are accepted."};
  }
  bj::parse_options options;
  options.max_depth = limits.max_depth;
  bj::basic_parser<Handler> parser(options);
  parser.handler().repeats_allowed = limits.repeated_keys;
  bj::error_code ec;
  try {
    const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
    if (!parser.handler().repeated_key.empty()) {
      return refuse(what, "the key " + json_quote(parser.handler().repeated_key) + " is repeated",
                    read);
    }
    if (ec) return refuse(what, reason(ec, limits), read);
    if (read != text.size()) return refuse(what, reason(bj::error::extra_data, limits), read);
    return std::move(parser.handler().values.back());
  } catch (const std::bad_alloc&) {
    return Error{Code::kExhausted, std::string(what) + " needs more memory than there is."};
  }
}

}  // namespace plumb
