#include "gateway/wire/anthropic_signature.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/digest.h"
#include "base/utf8.h"

namespace plumb::wire {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kSeal = "thinking/1\n";  // before the text

// RFC 4648, section 4.
std::string base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t filled = 4;
    if (i + 4 == text.size()) {
      while (filled > 2 && text[i + filled - 1] == '=') --filled;
    }
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const std::size_t digit = j < filled ? kAlphabet.find(text[i + j]) : 0;
      if (digit == kAlphabet.npos) return std::nullopt;
      group = group << 6 | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t j = 0; j + 1 < filled; ++j) {
      out += static_cast<char>(group >> (16 - 8 * j) & 255);
    }
  }
  return out;
}

}  // namespace

std::string thinking_signature(std::string_view thinking) {
  const Sha256Digest digest = sha256(thinking);
  return base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string seal_thinking(std::string_view thinking) {
  return base64(std::string(kSeal).append(thinking));
}

std::string sealed_thinking(std::string_view signature) {
  const auto opened = from_base64(signature);
  if (!opened || !opened->starts_with(kSeal)) return "";
  std::string thinking = opened->substr(kSeal.size());
  return is_valid_utf8(thinking) ? thinking : "";
}

}  // namespace plumb::wire
