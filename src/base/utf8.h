// UTF-8: validation, decoding, and what to do with bytes that are not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plumb {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct Utf8Step {
  char32_t code = 0;       // kReplacementCharacter when not valid
  std::size_t length = 0;  // bytes to advance, at least 1; 0 only at the end of the text
  bool valid = false;
};

// The character at byte `at`. Invalid bytes advance by their maximal subpart (Unicode §3.9, as
// Python's errors="replace" and WHATWG decoders do), so every decoder here agrees.
Utf8Step decode_utf8(std::string_view text, std::size_t at);

bool is_valid_utf8(std::string_view text);

// The text with each maximal invalid subpart replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

// How many leading bytes can be shown now: all, less a last character that is still incomplete but
// could become valid with more bytes (at most three bytes are held back).
std::size_t complete_utf8_prefix(std::string_view text);

// `code` must be a Unicode scalar value: not a surrogate, at most U+10FFFF.
void append_utf8(std::string& out, char32_t code);

}  // namespace plumb
