#include "gateway/wire/openai_conversation.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "gateway/wire/openai_chat.h"
#include "gateway/wire/parse_for_tests.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

std::string of_messages(const std::string& messages) {
  return str("{\"messages\": [", messages, "]}");
}

Conversation conversation_of(const std::string& body, const Defaults& defaults = {}) {
  const Call call = accepted(kOpenAiChat, body, defaults);
  if (call.choices.empty()) return {};
  return std::get<Conversation>(call.choices.front().prompt);
}
Effort effort_of(const std::string& fields, Effort usual = Effort::kNone) {
  return conversation_of(asking(fields), {{}, usual, {}}).effort;
}

TEST(OpenAiConversation, EveryKindOfMessageIsRead) {
  const Conversation conversation = conversation_of(of_messages(R"(
      {"role": "system", "content": "Be brief.", "name": "s"},
      {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "latest_reminder", "content": "2026-05-01"},
      {"role": "user", "content": [{"type": "text", "text": "Time?", "cache_control": {}}], "name": "u"},
      {"role": "assistant", "content": null, "reasoning_content": "look", "refusal": null,
       "tool_calls": [{"id": "c1", "type": "function",
                       "function": {"name": "clock", "arguments": "{\"tz\": \"x\"}"}},
                      {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": ""}},
                      {"id": "c3", "function": {"name": "clock", "arguments": {"a": 1}}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "10:00"},
      {"role": "tool", "tool_call_id": "c2", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
      {"role": "assistant", "content": [{"type": "text", "text": "Ten"}, {"type": "refusal", "refusal": "no"}],
       "reasoning": "why"},
      {"role": "assistant", "refusal": "I will not."},
      {"role": "assistant"},
      {"role": "user", "content": "", "task": "action"})"));
  const auto& m = conversation.messages;
  ASSERT_EQ(m.size(), 11u);
  EXPECT_EQ(m[0], Message::of(Role::kSystem, "Be brief."));
  EXPECT_EQ(m[1].role, Role::kDeveloper);
  EXPECT_EQ(m[1].text(), "a\n\nb");
  EXPECT_EQ(m[2], Message::of(Role::kLatestReminder, "2026-05-01"));
  EXPECT_EQ(m[3], Message::of(Role::kUser, "Time?"));
  EXPECT_EQ(m[4].role, Role::kAssistant);
  EXPECT_TRUE(m[4].content.empty());
  EXPECT_EQ(m[4].reasoning, "look");
  EXPECT_EQ(m[4].tool_calls, (std::vector<ToolCall>{{"c1", "clock", "{\"tz\": \"x\"}"},
                                                    {"c2", "clock", "{}"},
                                                    {"c3", "clock", "{\"a\":1}"}}));
  EXPECT_EQ(m[5].tool_call_id, "c1");
  EXPECT_EQ(m[5].text(), "10:00");
  ASSERT_EQ(m[6].content.size(), 1u);
  EXPECT_EQ(m[6].content[0].kind, ContentPart::Kind::kImage);
  EXPECT_EQ(m[6].content[0].type_name, "image_url");
  EXPECT_EQ(m[7].text(), "Ten\n\nno");
  EXPECT_EQ(m[7].reasoning, "why");
  EXPECT_EQ(m[8].text(), "I will not.");
  EXPECT_TRUE(m[9].content.empty());
  EXPECT_EQ(m[10].task, "action");
  for (const Message& message : m) EXPECT_FALSE(message.wo_eos);
}

TEST(OpenAiConversation, ALastMessageOfTheAssistantIsContinued) {
  const std::string user = R"({"role": "user", "content": "Q"},)";
  for (const std::string& body : {
           of_messages(user + R"({"role": "assistant", "content": "Par"})"),
           of_messages(user + R"({"role": "assistant", "content": "Par", "prefix": true})"),
           str(R"({"continue_final_message": true, "add_generation_prompt": false, "messages": [)",
               user, R"({"role": "assistant", "content": "Par"}]})"),
       }) {
    const Conversation conversation = conversation_of(body);
    ASSERT_EQ(conversation.messages.size(), 2u);
    EXPECT_TRUE(conversation.messages[1].wo_eos) << body;
    EXPECT_EQ(conversation.messages[1].text(), "Par");
  }
  // A task asks about the message, and does not go on with it.
  EXPECT_FALSE(conversation_of(
                   of_messages(user + R"({"role": "assistant", "content": "A", "task": "title"})"))
                   .messages[1]
                   .wo_eos);
}

constexpr const char* kTool = R"({"type": "function", "function":
    {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": false}})";

TEST(OpenAiConversation, ToolsAreOfferedUnlessNoneMayBeChosen) {
  for (const char* choice : {"", R"(, "tool_choice": "auto")",
                             R"(, "tool_choice": null, "parallel_tool_calls": true)"}) {
    const Conversation offered = conversation_of(asking(str(R"("tools": [)", kTool, "]", choice)));
    ASSERT_EQ(offered.tools.size(), 1u) << choice;
    EXPECT_EQ(offered.tools[0].name, "f");
    EXPECT_EQ(offered.tools[0].function_json,
              R"({"name":"f","description":"d","parameters":{"type":"object"},"strict":false})");
  }
  const Conversation none =
      conversation_of(str(R"({"tool_choice": "none", "tools": [)", kTool, R"(], "messages": [
      {"role": "system", "content": "s", "tools": [)",
                          kTool, R"(]},
      {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "r"}]})"));
  EXPECT_TRUE(none.tools.empty());
  ASSERT_EQ(none.messages.size(), 3u);
  EXPECT_TRUE(none.messages[0].tools.empty());
  EXPECT_EQ(none.messages[1].tool_calls.size(), 1u);
}

TEST(OpenAiConversation, TheFormOfTheAnswerIsItsSchema) {
  using Format = std::optional<std::string>;
  const auto format = [](const std::string& value) {
    return conversation_of(asking("\"response_format\": " + value)).response_format;
  };
  EXPECT_EQ(format("null"), Format());
  EXPECT_EQ(format(R"({"type": "text"})"), Format());
  EXPECT_EQ(format(R"({"type": "json_object"})"), Format(R"({"type":"object"})"));
  EXPECT_EQ(format(R"({"type": "json_schema", "json_schema":
      {"name": "n", "description": "d", "strict": false, "schema": {"type": "array", "a": 1.50}}})"),
            Format(R"({"type":"array","a":1.50})"));
}

TEST(OpenAiConversation, ASystemMessageMayOfferToolsAndAFormItself) {
  const Conversation conversation = conversation_of(of_messages(
      str(R"({"role": "system", "content": "s", "response_format": {"type": "object"}, "tools": [)",
          kTool, R"(]}, {"role": "user", "content": "Hi"})")));
  ASSERT_EQ(conversation.messages.size(), 2u);
  EXPECT_EQ(conversation.messages[0].tools.size(), 1u);
  EXPECT_EQ(conversation.messages[0].response_format, R"({"type":"object"})");
}

TEST(OpenAiConversation, ThinkingIsSwitchedAndMeasuredByEveryNameForIt) {
  EXPECT_EQ(effort_of(""), Effort::kNone);
  EXPECT_EQ(effort_of("", Effort::kMax), Effort::kMax);
  for (const auto& [name, effort] :
       std::vector<std::pair<std::string, Effort>>{{"none", Effort::kNone},
                                                   {"minimal", Effort::kNone},
                                                   {"low", Effort::kHigh},
                                                   {"medium", Effort::kHigh},
                                                   {"high", Effort::kHigh},
                                                   {"xhigh", Effort::kMax},
                                                   {"max", Effort::kMax}}) {
    EXPECT_EQ(effort_of(str(R"("reasoning_effort": ")", name, "\"")), effort);
    EXPECT_EQ(effort_of(str(R"("chat_template_kwargs": {"reasoning_effort": ")", name, "\"}")),
              effort);
  }
  EXPECT_EQ(effort_of(R"("thinking": {"type": "enabled"})"), Effort::kHigh);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "enabled"})", Effort::kMax), Effort::kMax);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "disabled"})", Effort::kMax), Effort::kNone);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "enabled"}, "reasoning_effort": "max")"),
            Effort::kMax);
  EXPECT_EQ(effort_of(R"("thinking": {"type": "disabled"}, "reasoning_effort": "max")"),
            Effort::kNone);
  EXPECT_EQ(effort_of(R"("chat_template_kwargs": {"thinking": true})"), Effort::kHigh);
  EXPECT_EQ(effort_of(R"("chat_template_kwargs": {"enable_thinking": false})", Effort::kHigh),
            Effort::kNone);
  EXPECT_FALSE(conversation_of(asking(R"("chat_template_kwargs": {"drop_thinking": false})"))
                   .drop_old_reasoning);
}

TEST(OpenAiConversation, AWrongMessageIsRefusedByItsPlace) {
  struct Wrong {
    std::string message, param;
    std::string code = {};
  };
  const std::vector<Wrong> cases = {
      {R"(1)", "messages[0]"},
      {R"({"content": "x"})", "messages[0].role"},
      {R"({"role": "function", "content": "x"})", "messages[0].role"},
      {R"({"role": "user"})", "messages[0].content"},
      {R"({"role": "user", "content": 3})", "messages[0].content"},
      {R"({"role": "user", "content": ["x"]})", "messages[0].content[0]"},
      {R"({"role": "user", "content": [{"text": "x"}]})", "messages[0].content[0].type"},
      {R"({"role": "user", "content": [{"type": "text"}]})", "messages[0].content[0].text"},
      {R"({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]})",
       "messages[0].content[1].type", "unsupported_value"},
      {R"({"role": "user", "content": [{"type": "input_audio"}]})", "messages[0].content[0].type",
       "unsupported_value"},
      {R"({"role": "user", "content": [{"type": "file"}]})", "messages[0].content[0].type",
       "unsupported_value"},
      {R"({"role": "user", "content": [{"type": "refusal", "refusal": "x"}]})",
       "messages[0].content[0].type", "unsupported_value"},
      {R"({"role": "tool", "content": "x"})", "messages[0].tool_call_id"},
      {R"({"role": "tool", "tool_call_id": "c"})", "messages[0].content"},
      {R"({"role": "assistant", "reasoning_content": 1})", "messages[0].reasoning_content"},
      {R"({"role": "assistant", "function_call": {"name": "f"}})", "messages[0].function_call",
       "unsupported_parameter"},
      {R"({"role": "assistant", "audio": {"id": "a"}})", "messages[0].audio",
       "unsupported_parameter"},
      {R"({"role": "assistant", "tool_calls": {}})", "messages[0].tool_calls"},
      {R"({"role": "assistant", "tool_calls": [{}]}, {"role": "user", "content": "x"})",
       "messages[0].tool_calls[0].function"},
      {R"({"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]})",
       "messages[0].tool_calls[0].type", "unsupported_value"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]})",
       "messages[0].tool_calls[0].function.name"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]})",
       "messages[0].tool_calls[0].function.arguments"},
      {R"({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]})",
       "messages[0].tool_calls"},
      {R"({"role": "assistant", "content": "a", "prefix": true}, {"role": "user", "content": "x"})",
       "messages[0].prefix"},
      {R"({"role": "user", "content": "x", "task": 1})", "messages[0].task"},
  };
  for (const Wrong& wrong : cases) {
    const Refusal refusal = refused(kOpenAiChat, of_messages(wrong.message));
    EXPECT_EQ(refusal.param, wrong.param) << wrong.message;
    EXPECT_EQ(refusal.code, wrong.code) << wrong.message;
    EXPECT_NE(refusal.message.find(wrong.param), std::string::npos) << refusal.message;
  }
  EXPECT_EQ(refused(kOpenAiChat, "{}").param, "messages");
  EXPECT_EQ(refused(kOpenAiChat, R"({"messages": []})").param, "messages");
  EXPECT_EQ(refused(kOpenAiChat, R"({"messages": "x"})").param, "messages");
  EXPECT_EQ(refused(kOpenAiChat, "[]").message, "The body is [], expected an object.");
  const std::string prefilled = R"("messages": [{"role": "assistant", "content": "x"}])";
  EXPECT_EQ(
      refused(kOpenAiChat, str("{", prefilled, R"(, "continue_final_message": false})")).param,
      "continue_final_message");
}

TEST(OpenAiConversation, AnImageIsRefusedWithItsPlaceAndWhy) {
  EXPECT_EQ(
      refused(
          kOpenAiChat,
          of_messages(
              R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})"))
          .message,
      "messages[0].content[0].type is \"image_url\", but this model reads text only; expected "
      "\"text\".");
}

// Both readers of conversations must agree on what they both know.
TEST(OpenAiConversation, AConversationFromAFileIsTheSameOverTheWire) {
  const std::string body =
      str(R"({"reasoning_effort": "high", "response_format": {"type": "json_object"},
      "tools": [)",
          kTool, R"(], "messages": [
      {"role": "system", "content": "s"}, {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": "", "reasoning_content": "r", "tool_calls":
       [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "x"}]})");
  const auto from_file = conversation_from_json(*parse_json(body, "file"));
  ASSERT_TRUE(from_file) << from_file.error().message;
  EXPECT_EQ(conversation_of(body), *from_file);
}

}  // namespace
}  // namespace plumb::wire
