// Small text helpers for messages.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace plumb {

inline std::string to_text(std::string_view value) { return std::string(value); }
inline std::string to_text(char value) { return std::string(1, value); }
// A template, so that a string literal (a pointer) is never taken for a bool.
template <std::integral T>
requires(!std::same_as<T, char>) std::string to_text(T value) {
  if constexpr (std::same_as<T, bool>) {
    return value ? "true" : "false";
  } else {
    return std::to_string(value);
  }
}
std::string to_text(double value);  // shortest form that reads back the same

// Concatenates strings, numbers and characters: str("Tensor ", name, " has ", n, " rows.").
template <class... Parts>
std::string str(const Parts&... parts) {
  std::string out;
  (out.append(to_text(parts)), ...);
  return out;
}

// A to Z in lower case; other bytes stay.
std::string ascii_lower(std::string_view text);
// Of a hexadecimal digit in either case; -1: it is none.
int hex_value(char digit);
// 1 to `most` bytes, each an ASCII letter, a digit or one of `others`.
bool is_name(std::string_view text, std::string_view others, std::size_t most);

// "17 bytes", "1.5 KiB", "22.0 GiB": for people; three significant digits.
std::string bytes_text(std::uint64_t bytes);
// "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
std::string duration_text(double seconds);
// "145,116".
std::string grouped(std::uint64_t value);

}  // namespace plumb
