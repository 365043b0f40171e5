#include "apps/toml_characters.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utf8.h"

namespace plumb {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kDigits = "0123456789ABCDEF";

Error not_toml(std::string_view text, std::size_t at, std::string_view what,
               std::string_view message) {
  const auto lines = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  return {Code::kCorrupt, str(what, ", line ", lines + 1, ": this is not TOML: ", message)};
}

// "\u007e" and "\U0000007E", whichever case the digit has.
bool escapes_tilde(std::string_view text) {
  if (!text.starts_with("\\u007") && !text.starts_with("\\U0000007")) return false;
  const std::size_t last = text[1] == 'u' ? 5 : 9;
  return text.size() > last && (text[last] == 'e' || text[last] == 'E');
}

}  // namespace

Result<std::string> to_ascii_toml(std::string_view text, std::string_view what) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    if (!step.valid) return not_toml(text, at, what, "it is not UTF-8.");
    if (escapes_tilde(text.substr(at))) {
      return not_toml(text, at, what, "write ~ without an escape.");
    }
    for (const char c : text.substr(at, step.length)) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80 && c != '~') {
        out += c;
      } else {
        out += {'~', kDigits[byte >> 4], kDigits[byte & 15]};
      }
    }
    at += step.length;
  }
  return out;
}

std::string from_ascii_toml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t high = at + 2 < text.size() ? kDigits.find(text[at + 1]) : kDigits.npos;
    const std::size_t low = high != kDigits.npos ? kDigits.find(text[at + 2]) : kDigits.npos;
    if (text[at] != '~' || low == kDigits.npos) {
      out += text[at];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    at += 2;
  }
  return out;
}

}  // namespace plumb
