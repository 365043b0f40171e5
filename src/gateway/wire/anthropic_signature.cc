#include "gateway/wire/anthropic_signature.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/utf8.h"

namespace plumb::wire {
namespace {

constexpr std::string_view kSeal = "thinking/1\n";  // before the text

}  // namespace

std::string thinking_signature(std::string_view thinking) {
  const Sha256Digest digest = sha256(thinking);
  return base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string seal_thinking(std::string_view thinking) {
  return base64_encode(std::string(kSeal).append(thinking));
}

std::string sealed_thinking(std::string_view signature) {
  const auto opened = base64_decode(signature);
  if (!opened || !opened->starts_with(kSeal)) return "";
  std::string thinking = opened->substr(kSeal.size());
  return is_valid_utf8(thinking) ? thinking : "";
}

}  // namespace plumb::wire
