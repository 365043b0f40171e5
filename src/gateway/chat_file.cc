#include "gateway/chat_file.h"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/digest.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/chat_json.h"

namespace plumb {
namespace {

constexpr std::string_view kMagic = "PLUMBCHT";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kLongestName = 4096;
constexpr std::uint64_t kLongestConversation = std::uint64_t{64} << 20;
constexpr std::size_t kDigestBytes = sizeof(Sha256Digest);

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class Integer>
void put(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

Error corrupt(const std::string& why) { return Error{Code::kCorrupt, "The saved chat " + why}; }

// Takes values off the front of foreign bytes.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<std::span<const std::byte>> bytes(std::uint64_t size, std::string_view what) {
    if (size > bytes_.size()) {
      return corrupt(
          str("gives ", what, " ", size, " bytes, but only ", bytes_.size(), " are left."));
    }
    const auto out = bytes_.first(static_cast<std::size_t>(size));
    bytes_ = bytes_.subspan(static_cast<std::size_t>(size));
    return out;
  }

  template <class Integer>
  Result<Integer> number(std::string_view what) {
    PLUMB_TRY(raw, bytes(sizeof(Integer), what));
    Integer value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
      value |= static_cast<Integer>(std::to_integer<Integer>(raw[i]) << (8 * i));
    }
    return value;
  }

  // A length, then as many bytes.
  Result<std::span<const std::byte>> sized(std::uint64_t longest, std::string_view what) {
    PLUMB_TRY(size, number<std::uint64_t>(what));
    if (size > longest) {
      return corrupt(str("gives ", what, " ", size, " bytes, expected at most ", longest, "."));
    }
    return bytes(size, what);
  }

  bool at_end() const { return bytes_.empty(); }
  std::size_t left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

Status expect_same(std::string_view what, const std::string& saved, const std::string& here) {
  if (saved == here) return {};
  return Error{Code::kUnsupported, str("The saved chat was made with other ", what, " (", saved,
                                       ") than in use here (", here, ").")};
}

}  // namespace

std::string encode_chat_file(const ChatFile& chat) {
  std::string out(kMagic);
  put(out, kVersion);
  for (const std::string* name :
       {&chat.identity.weights, &chat.identity.tokenizer, &chat.identity.numerics}) {
    put_text(out, *name);
  }
  put_text(out, conversation_to_json(chat.conversation).dump());
  put_text(out, text_of(chat.state));
  const Sha256Digest digest = sha256(out);
  out += text_of(digest);
  return out;
}

Result<ChatFile> parse_chat_file(std::span<const std::byte> bytes) {
  const std::size_t least = kMagic.size() + sizeof kVersion + kDigestBytes;
  if (!text_of(bytes).starts_with(kMagic)) {
    return Error{Code::kCorrupt,
                 str("This is not a saved chat: it does not begin with ", kMagic, ".")};
  }
  if (bytes.size() < least) return corrupt(str("ends after ", bytes.size(), " bytes."));
  const auto body = bytes.first(bytes.size() - kDigestBytes);
  Reader reader(body.subspan(kMagic.size()));
  // The version first: a later one may keep its checksum elsewhere.
  PLUMB_TRY(version, reader.number<std::uint32_t>("its version"));
  if (version != kVersion) {
    return Error{Code::kUnsupported,
                 str("The saved chat has version ", version, ", expected ", kVersion, ".")};
  }
  const Sha256Digest digest = sha256(body);
  if (std::memcmp(digest.data(), bytes.data() + body.size(), kDigestBytes) != 0) {
    return corrupt("does not match its checksum: it was cut short or damaged.");
  }
  ChatFile chat;
  PLUMB_TRY(weights, reader.sized(kLongestName, "the weights' fingerprint"));
  PLUMB_TRY(tokenizer, reader.sized(kLongestName, "the tokenizer's fingerprint"));
  PLUMB_TRY(numerics, reader.sized(kLongestName, "the numerics"));
  chat.identity = {std::string(text_of(weights)), std::string(text_of(tokenizer)),
                   std::string(text_of(numerics))};
  PLUMB_TRY(text, reader.sized(kLongestConversation, "the conversation"));
  PLUMB_TRY(json, parse_json(text_of(text), "The saved chat's conversation"));
  PLUMB_TRY(conversation, conversation_from_json(json));
  chat.conversation = std::move(conversation);
  PLUMB_TRY(state, reader.sized(bytes.size(), "the state"));
  chat.state = state;
  if (!reader.at_end()) return corrupt(str("holds ", reader.left(), " bytes more than it should."));
  return chat;
}

Status check_identity(const ChatIdentity& saved, const ChatIdentity& here) {
  PLUMB_TRY_STATUS(expect_same("weights", saved.weights, here.weights));
  PLUMB_TRY_STATUS(expect_same("tokenizer vocabulary", saved.tokenizer, here.tokenizer));
  return expect_same("numerics", saved.numerics, here.numerics);
}

}  // namespace plumb
