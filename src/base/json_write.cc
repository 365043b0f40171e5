// The three writers of Json, and the spelling of numbers they share.
#include <charconv>
#include <cmath>
#include <string>

#include "base/check.h"
#include "base/json.h"

namespace plumb {
namespace {

// Python's repr(float): the shortest digits that read back the same; positional while the decimal
// exponent lies in [-4, 16), else scientific with at least two digits of exponent.
std::string python_float(double value) {
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const std::size_t first = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + first, text.data() + text.size(), exponent);

  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    const std::string magnitude = std::to_string(std::abs(exponent));
    out += exponent < 0 ? "e-" : "e+";
    out += magnitude.size() < 2 ? "0" + magnitude : magnitude;
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  } else if (count <= exponent + 1) {
    out += digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  } else {
    const auto point = static_cast<std::size_t>(exponent + 1);
    out += digits.substr(0, point) + "." + digits.substr(point);
  }
  return out;
}

// Python reads a lexeme without point or exponent as an int of any size, else as a float.
std::string python_number(const Json& number) {
  const std::string& lexeme = number.text();
  if (lexeme.find_first_of(".eE") != std::string::npos) return python_float(*number.as_double());
  return lexeme == "-0" ? "0" : lexeme;
}

void append_quoted(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kHex[static_cast<unsigned char>(c) >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

struct Spelling {
  std::string_view comma;  // between items on one line
  std::string_view colon;
  bool python_numbers = false;
  int indent = 0;  // 0: one line
};

class Writer {
 public:
  explicit Writer(const Spelling& spelling) : spelling_(spelling) {}

  std::string write(const Json& value) {
    append(value, 1);
    return std::move(out_);
  }

 private:
  void line(int depth) {
    if (spelling_.indent == 0) return;
    out_ += '\n';
    out_.append(static_cast<std::size_t>(depth * spelling_.indent), ' ');
  }

  void append(const Json& value, int depth) {
    switch (value.kind()) {
      case Json::Kind::kNull:
        out_ += "null";
        break;
      case Json::Kind::kBool:
        out_ += *value.as_bool() ? "true" : "false";
        break;
      case Json::Kind::kNumber:
        out_ += spelling_.python_numbers ? python_number(value) : value.text();
        break;
      case Json::Kind::kString:
        append_quoted(out_, value.text());
        break;
      case Json::Kind::kArray:
        append_array(value, depth);
        break;
      case Json::Kind::kObject:
        append_object(value, depth);
        break;
    }
  }

  void append_array(const Json& value, int depth) {
    out_ += '[';
    bool first = true;
    for (const Json& item : value.items()) {
      if (!first) out_ += spelling_.comma;
      first = false;
      line(depth);
      append(item, depth + 1);
    }
    if (!first) line(depth - 1);
    out_ += ']';
  }

  void append_object(const Json& value, int depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, item] : value.members()) {
      if (!first) out_ += spelling_.comma;
      first = false;
      line(depth);
      append_quoted(out_, key);
      out_ += spelling_.colon;
      append(item, depth + 1);
    }
    if (!first) line(depth - 1);
    out_ += '}';
  }

  const Spelling spelling_;
  std::string out_;
};

}  // namespace

Json Json::real(double value) {
  PLUMB_CHECK(std::isfinite(value));  // JSON has no infinity and no NaN
  return number(python_float(value));
}

std::string Json::dump_python() const {
  return Writer({.comma = ", ", .colon = ": ", .python_numbers = true}).write(*this);
}

std::string Json::dump() const { return Writer({.comma = ",", .colon = ":"}).write(*this); }

std::string Json::dump_pretty(int spaces) const {
  return Writer({.comma = ",", .colon = ": ", .indent = spaces}).write(*this);
}

std::string json_quote(std::string_view text) {
  std::string out;
  append_quoted(out, text);
  return out;
}

}  // namespace plumb
