#include "base/utf8.h"

#include <algorithm>

#include "base/check.h"

namespace plumb {
namespace {

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// What a lead byte announces: the length, and the range its second byte must lie in (which is how
// overlong forms, surrogates and values past U+10FFFF are excluded). length 0: not a lead byte.
struct Lead {
  std::size_t length;
  unsigned low, high;
};

Lead lead_of(unsigned b) {
  if (b < 0x80) return {1, 0, 0};
  if (b < 0xC2) return {0, 0, 0};
  if (b < 0xE0) return {2, 0x80, 0xBF};
  if (b == 0xE0) return {3, 0xA0, 0xBF};
  if (b == 0xED) return {3, 0x80, 0x9F};
  if (b < 0xF0) return {3, 0x80, 0xBF};
  if (b == 0xF0) return {4, 0x90, 0xBF};
  if (b < 0xF4) return {4, 0x80, 0xBF};
  if (b == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes from `at` that form a character or the beginning of one.
std::size_t subpart(std::string_view text, std::size_t at, const Lead& lead) {
  std::size_t n = 1;
  while (n < lead.length && at + n < text.size()) {
    const unsigned b = byte_at(text, at + n);
    const bool fits = n == 1 ? b >= lead.low && b <= lead.high : (b & 0xC0) == 0x80;
    if (!fits) break;
    ++n;
  }
  return n;
}

}  // namespace

Utf8Step decode_utf8(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const unsigned first = byte_at(text, at);
  const Lead lead = lead_of(first);
  if (lead.length == 1) return {static_cast<char32_t>(first), 1, true};
  const std::size_t n = subpart(text, at, lead);
  if (lead.length == 0 || n < lead.length) return {kReplacementCharacter, n, false};
  char32_t code = first & (0x7Fu >> lead.length);
  for (std::size_t i = 1; i < n; ++i) code = code << 6 | (byte_at(text, at + i) & 0x3F);
  return {code, n, true};
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    if (!step.valid) return false;
    at += step.length;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    if (step.valid) {
      out.append(text.substr(at, step.length));
    } else {
      append_utf8(out, kReplacementCharacter);
    }
    at += step.length;
  }
  return out;
}

std::size_t complete_utf8_prefix(std::string_view text) {
  const std::size_t window = std::min<std::size_t>(text.size(), 3);
  for (std::size_t back = 1; back <= window; ++back) {
    const std::size_t at = text.size() - back;
    const unsigned b = byte_at(text, at);
    if ((b & 0xC0) == 0x80) continue;  // a continuation: its lead is further back
    const Lead lead = lead_of(b);
    const bool unfinished = lead.length > back && subpart(text, at, lead) == back;
    return unfinished ? at : text.size();
  }
  return text.size();
}

void append_utf8(std::string& out, char32_t code) {
  PLUMB_CHECK(code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF));
  const auto put = [&](char32_t b) { out += static_cast<char>(static_cast<unsigned char>(b)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace plumb
