// Saved chats are foreign bytes. Whatever parses must encode and parse to the same chat; what the
// checksum would hide is reached by sealing the input anew.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "base/digest.h"
#include "gateway/chat_file.h"

namespace {

void parse(std::span<const std::byte> bytes) {
  const auto chat = plumb::parse_chat_file(bytes);
  if (!chat) {
    PLUMB_CHECK(!chat.error().message.empty());
    return;
  }
  const std::string again = plumb::encode_chat_file(*chat);
  const auto same = plumb::parse_chat_file(std::as_bytes(std::span(again)));
  PLUMB_CHECK(same.has_value());
  PLUMB_CHECK(same->identity == chat->identity);
  PLUMB_CHECK(same->conversation == chat->conversation);
  PLUMB_CHECK(
      std::equal(same->state.begin(), same->state.end(), chat->state.begin(), chat->state.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  parse(bytes);
  std::string sealed = "PLUMBCHT";
  sealed.append({1, 0, 0, 0});
  sealed.append(reinterpret_cast<const char*>(data), size);
  const plumb::Sha256Digest digest = plumb::sha256(sealed);
  sealed.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  parse(std::as_bytes(std::span(sealed)));
  return 0;
}
