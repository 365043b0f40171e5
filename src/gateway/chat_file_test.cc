#include "gateway/chat_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/digest.h"

namespace plumb {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Conversation talk() {
  Conversation talk;
  talk.effort = Effort::kHigh;
  talk.messages.push_back(Message::of(Role::kSystem, "Be brief."));
  talk.messages.push_back(Message::of(Role::kUser, "Wie groß ist 温度?\n\"quoted\" \\ \x01"));
  Message reply = Message::of(Role::kAssistant, "I look it up.");
  reply.reasoning = "They ask for a temperature.";
  reply.tool_calls.push_back({"call_0", "weather", "{\"city\": \"Rome\", \"n\": 1.50}"});
  talk.messages.push_back(reply);
  Message result = Message::of(Role::kTool, "21 degrees");
  result.tool_call_id = "call_0";
  talk.messages.push_back(result);
  talk.tools.push_back({"weather", "{\"name\":\"weather\",\"parameters\":{\"type\":\"object\"}}"});
  return talk;
}

const ChatIdentity kHere = {"w0123", "t4567", "plain"};
constexpr std::string_view kState = "state\0with\xff bytes";

std::string sample() { return encode_chat_file({kHere, talk(), bytes_of(kState)}); }

// With the checksum made right again, so that what stands behind it is met.
std::string resealed(std::string file) {
  file.resize(file.size() - 32);
  const Sha256Digest digest = sha256(file);
  file.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return file;
}

TEST(ChatFile, ComesBackAsItWas) {
  const std::string file = sample();
  const auto chat = parse_chat_file(bytes_of(file));
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(chat->identity, kHere);
  EXPECT_EQ(chat->conversation, talk());
  EXPECT_TRUE(std::equal(chat->state.begin(), chat->state.end(), bytes_of(kState).begin(),
                         bytes_of(kState).end()));
  EXPECT_EQ(encode_chat_file(*chat), file);
}

TEST(ChatFile, EmptyChatWithoutState) {
  const std::string file = encode_chat_file({kHere, {}, {}});
  const auto chat = parse_chat_file(bytes_of(file));
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(chat->conversation, Conversation{});
  EXPECT_TRUE(chat->state.empty());
}

TEST(ChatFile, CutAnywhereIsRefused) {
  const std::string file = sample();
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto chat = parse_chat_file(bytes_of(std::string_view(file).substr(0, size)));
    ASSERT_FALSE(chat) << size;
    EXPECT_EQ(chat.error().code, Code::kCorrupt) << size;
  }
}

TEST(ChatFile, EveryFlippedByteIsRefused) {
  const std::string file = sample();
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const char flip : {'\x01', '\x80'}) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      EXPECT_FALSE(parse_chat_file(bytes_of(damaged))) << at;
    }
  }
}

// A forged file with a right checksum: lengths that lie end in a sentence, never out of bounds.
TEST(ChatFile, LengthsThatLieAreNamed) {
  const std::string file = sample();
  for (const unsigned char high : {0x00, 0x7f, 0xff}) {
    std::string lying = file;
    for (std::size_t i = 12; i < 20; ++i)
      lying[i] = static_cast<char>(high);  // of the weights' name
    const auto chat = parse_chat_file(bytes_of(resealed(lying)));
    ASSERT_FALSE(chat);
    EXPECT_EQ(chat.error().code, Code::kCorrupt);
    if (high == 0xff) {
      EXPECT_EQ(
          chat.error().message,
          "The saved chat gives the weights' fingerprint 18446744073709551615 bytes, expected at "
          "most 4096.");
    }
  }
  std::string longer = file;
  longer.insert(longer.size() - 32, "more");
  const auto chat = parse_chat_file(bytes_of(resealed(longer)));
  ASSERT_FALSE(chat);
  EXPECT_EQ(chat.error().message, "The saved chat holds 4 bytes more than it should.");
}

TEST(ChatFile, OtherFilesAndVersionsAreNamed) {
  const auto other = parse_chat_file(bytes_of("{\"messages\": []}"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "This is not a saved chat: it does not begin with PLUMBCHT.");
  std::string later = sample();
  later[8] = 2;
  const auto chat = parse_chat_file(bytes_of(resealed(later)));
  ASSERT_FALSE(chat);
  EXPECT_EQ(chat.error().code, Code::kUnsupported);
  EXPECT_EQ(chat.error().message, "The saved chat has version 2, expected 1.");
}

TEST(ChatFile, ForeignStateIsRefusedByName) {
  EXPECT_TRUE(check_identity(kHere, kHere));
  const Status numerics = check_identity({"w0123", "t4567", "vendor"}, kHere);
  ASSERT_FALSE(numerics);
  EXPECT_EQ(numerics.error().code, Code::kUnsupported);
  EXPECT_EQ(numerics.error().message,
            "The saved chat was made with other numerics (vendor) than in use here (plain).");
  EXPECT_NE(check_identity({"x", "t4567", "plain"}, kHere).error().message.find("weights (x)"),
            std::string::npos);
  EXPECT_NE(check_identity({"w0123", "x", "plain"}, kHere).error().message.find("tokenizer"),
            std::string::npos);
}

}  // namespace
}  // namespace plumb
