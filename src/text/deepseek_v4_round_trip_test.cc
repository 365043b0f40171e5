// Random conversations, there and back: what is rendered as a reply is read as the same message,
// however the reply is cut into tokens, and a reply that breaks off never passes for a whole one.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/json.h"
#include "fakes/byte_tokenizer.h"
#include "text/chat_test_data.h"
#include "text/deepseek_v4_prompt.h"
#include "text/reply_test_data.h"

namespace plumb {
namespace {

using namespace chat_tests;  // NOLINT: test vocabulary

constexpr int kConversations = 10000;

class Writer {
 public:
  explicit Writer(std::uint64_t seed) : random_(seed) {}

  std::string text(std::size_t most) {
    static const std::vector<std::string> kPool = {"Rome",
                                                   "caffè",
                                                   "天气",
                                                   "🙂",
                                                   " ",
                                                   "\n",
                                                   "\n\n",
                                                   "<",
                                                   "</",
                                                   "\n\n<",
                                                   "\"",
                                                   "\\",
                                                   ">",
                                                   "{}",
                                                   "[1, 2]",
                                                   "null",
                                                   "<tool_result>",
                                                   "</tool_result>",
                                                   "｜DSML｜",
                                                   "<｜DSML｜tool_calls>\n",
                                                   "<｜DSML｜invoke name=\"f\">\n",
                                                   "</｜DSML｜parameter>",
                                                   "</｜DSML｜invoke>",
                                                   "</｜DSML｜tool_calls>",
                                                   "<think>",
                                                   "</think>",
                                                   "<｜User｜>",
                                                   "<｜end▁of▁sentence｜>",
                                                   "tool_calls",
                                                   "invoke",
                                                   "parameter",
                                                   " string=\"true\">",
                                                   "\t",
                                                   "\x01",
                                                   "e\xcc\x81"};
    std::string out;
    for (std::size_t n = random_.below(most + 1); n > 0; --n)
      out += kPool[random_.below(kPool.size())];
    return out;
  }

  Json value(int depth = 0) {
    switch (random_.below(depth < 2 ? 8 : 6)) {
      case 0:
        return Json::null();
      case 1:
        return Json::boolean(random_.chance(50));
      case 2:
        return Json::integer(static_cast<std::int64_t>(random_.below(1000)) - 500);
      case 3:
        return Json::real(static_cast<double>(random_.below(1000)) / 8);
      case 6: {
        std::vector<Json> items;
        for (std::size_t n = random_.below(3); n > 0; --n) items.push_back(value(depth + 1));
        return Json::array(std::move(items));
      }
      case 7:
        return object(depth + 1);
      default:
        return Json::string(text(4));
    }
  }

  Json object(int depth = 0) {
    static const std::vector<std::string> kKeys = {"a",     "key", "k k", "è",
                                                   "\"q\"", "<",   ">",   "name"};
    Json out = Json::object();
    for (std::size_t n = random_.below(4); n > 0; --n)
      out.set(kKeys[random_.below(kKeys.size())], value(depth));
    return out;
  }

  Message reply() {
    Message message = Message::of(Role::kAssistant, text(6));
    message.reasoning = text(6);
    for (std::size_t n = random_.chance(50) ? random_.below(4) : 0; n > 0; --n) {
      ToolCall call{.id = "c" + std::to_string(n),
                    .name = random_.chance(50) ? "f" : "get_time",
                    .arguments = {}};
      call.arguments = random_.chance(10) ? "{not json " + text(2) : object().dump();
      message.tool_calls.push_back(std::move(call));
    }
    return message;
  }

  // Ends in a person's or a tool's message, so that a reply is due.
  Conversation conversation() {
    Conversation chat;
    chat.effort = static_cast<Effort>(random_.below(3));
    chat.drop_old_reasoning = random_.chance(70);
    if (random_.chance(40)) chat.messages.push_back(Message::of(Role::kSystem, text(4)));
    if (random_.chance(30)) chat.tools.push_back({.name = "f", .function_json = R"({"name":"f"})"});
    for (std::size_t turns = random_.below(3); turns > 0; --turns) {
      chat.messages.push_back(Message::of(Role::kUser, text(5)));
      chat.messages.push_back(reply());
    }
    const bool tool = !chat.messages.empty() && !chat.messages.back().tool_calls.empty();
    chat.messages.push_back(Message::of(tool ? Role::kTool : Role::kUser, text(5)));
    return chat;
  }

  Random& random() { return random_; }

 private:
  Random random_;
};

// What the reply of `message` must be read as.
Reply expected_reply(const Message& message, Effort effort) {
  Reply reply;
  if (effort != Effort::kNone) reply.reasoning = message.reasoning;
  reply.content = message.text();
  for (const ToolCall& call : message.tool_calls) {
    const Result<Json> parsed = parse_json(call.arguments, "arguments");
    const Json object =
        parsed ? *parsed : Json::object({{"arguments", Json::string(call.arguments)}});
    reply.calls.push_back(
        {"call_" + std::to_string(reply.calls.size()), call.name, object.dump_python()});
  }
  return reply;
}

std::vector<ReplyPiece> reply_pieces(Conversation chat, const Message& reply) {
  const Result<PromptPieces> prompt = deepseek_v4::render_pieces(chat);
  chat.messages.push_back(reply);
  const Result<PromptPieces> whole = deepseek_v4::render_pieces(chat);
  EXPECT_TRUE(prompt && whole);
  std::vector<ReplyPiece> pieces;
  for (std::size_t i = prompt->pieces().size(); i < whole->pieces().size(); ++i) {
    pieces.push_back({whole->pieces()[i].control, whole->pieces()[i].text});
  }
  return pieces;
}

bool begins(const std::string& whole, const std::string& part) {
  // A character that was cut in two is read as U+FFFD.
  std::string_view known = part;
  if (known.ends_with("\xef\xbf\xbd")) known.remove_suffix(3);
  return whole.starts_with(known);
}

TEST(DeepSeekV4RoundTrip, RandomConversationsCutAnywhere) {
  fakes::ByteTokenizer tokenizer = fakes::deepseek_v4_byte_tokenizer();
  Writer writer(2026);
  const auto at_once = [] { return std::string::npos; };
  const auto random_size = [&] {
    return 1 + writer.random().below(writer.random().chance(50) ? 3 : 20);
  };
  for (int n = 0; n < kConversations; ++n) {
    const Conversation chat = writer.conversation();
    const Message message = writer.reply();
    const bool thinking = chat.effort != Effort::kNone;
    const std::vector<ReplyPiece> pieces = reply_pieces(chat, message);
    const Reply expected = expected_reply(message, chat.effort);
    ASSERT_EQ(read_reply(tokenizer, pieces, thinking, at_once), expected) << n;
    ASSERT_EQ(read_reply(tokenizer, pieces, thinking, random_size), expected) << n;

    const std::vector<ReplyPiece> cut = beginning(pieces, writer.random().below(size_of(pieces)));
    const Reply part = read_reply(tokenizer, cut, thinking, random_size);
    ASSERT_EQ(part, read_reply(tokenizer, cut, thinking, at_once)) << n;
    ASSERT_TRUE(begins(expected.reasoning, part.reasoning)) << n << part.reasoning;
    // A reply that stops right before the first DSML token has not yet become a call.
    const std::string lead = message.tool_calls.empty() ? "" : "\n\n<";
    ASSERT_TRUE(begins(expected.content + lead, part.content)) << n << part.content;
    for (std::size_t i = 0; i < part.calls.size(); ++i) {
      const bool cut_off =
          std::count(part.unfinished.begin(), part.unfinished.end(), static_cast<int>(i)) > 0;
      ASSERT_EQ(cut_off, !parse_json(part.calls[i].arguments, "arguments").has_value()) << n;
      if (!cut_off) {
        ASSERT_EQ(part.calls[i], expected.calls.at(i)) << n;
      }
    }
  }
}

}  // namespace
}  // namespace plumb
