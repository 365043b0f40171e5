#include "text/chat_json.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "text/chat_test_data.h"

namespace plumb {
namespace {

using namespace chat_tests;  // NOLINT: test vocabulary

TEST(ChatJson, ReadsEveryField) {
  const Conversation chat = conversation(R"({"messages": [
      {"role": "system", "content": "S", "response_format": {"a": 1.50}},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}},
                                   {"type": "text", "text": "b"}], "task": "query", "name": "Ada"},
      {"role": "assistant", "content": null, "reasoning_content": "r", "wo_eos": true, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.50}"}},
        {"function": {"name": "g", "arguments": {"y": 1.50}}}]},
      {"role": "tool", "tool_call_id": "1", "content": "done", "mask": 1}],
    "tools": [{"type": "function", "function": {"name": "f", "z": 1, "a": 2}}],
    "response_format": {"type": "json_object"},
    "reasoning_effort": "xhigh", "drop_thinking": false})");
  EXPECT_EQ(chat.effort, Effort::kMax);
  EXPECT_FALSE(chat.drop_old_reasoning);
  EXPECT_EQ(chat.response_format, R"({"type":"object"})");
  ASSERT_EQ(chat.tools.size(), 1u);
  EXPECT_EQ(chat.tools[0].name, "f");
  EXPECT_EQ(chat.tools[0].function_json, R"({"name":"f","z":1,"a":2})");
  ASSERT_EQ(chat.messages.size(), 4u);
  EXPECT_EQ(chat.messages[0].response_format, R"({"a":1.50})");
  EXPECT_EQ(chat.messages[1].text(), "a\n\nb");
  EXPECT_EQ(chat.messages[1].content[1].kind, ContentPart::Kind::kImage);
  EXPECT_EQ(chat.messages[1].task, "query");
  EXPECT_EQ(chat.messages[2].reasoning, "r");
  EXPECT_TRUE(chat.messages[2].wo_eos);
  EXPECT_TRUE(chat.messages[2].content.empty());
  EXPECT_EQ(chat.messages[2].tool_calls[0], (ToolCall{"1", "f", "{\"x\": 1.50}"}));
  EXPECT_EQ(chat.messages[2].tool_calls[1], (ToolCall{"", "g", "{\"y\":1.50}"}));
  EXPECT_EQ(chat.messages[3].role, Role::kTool);
  EXPECT_EQ(chat.messages[3].tool_call_id, "1");
}

TEST(ChatJson, WritesWhatItReads) {
  std::vector<Json> all;
  for (const char* i : {"1", "2", "3", "4"}) {
    all.push_back(parse(read_data(std::string("test_input_") + i + ".json")));
  }
  for (const Json& row : read_lines("random_prompts.jsonl"))
    all.push_back(*row.find("conversation"));
  for (const Json& json : all) {
    const Conversation chat = conversation(json, Effort::kHigh);
    EXPECT_EQ(conversation(conversation_to_json(chat).dump()), chat) << json.dump();
  }
  Conversation chat;
  chat.response_format = R"({"type":"array"})";
  chat.tools = {{.name = "f", .function_json = R"({"name":"f"})"}};
  EXPECT_EQ(conversation(conversation_to_json(chat)), chat);
}

TEST(ChatJson, EffortNames) {
  for (const Effort effort : {Effort::kNone, Effort::kHigh, Effort::kMax}) {
    EXPECT_EQ(effort_from_name(effort_name(effort)), effort);
  }
  EXPECT_EQ(effort_from_name("low"), Effort::kHigh);
  EXPECT_EQ(effort_from_name("loud"), std::nullopt);
}

TEST(ChatJson, RefusalsNameThePlaceTheValueAndTheExpectation) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"3", "messages is a number; expected an array of messages."},
      {"{}", "The conversation has no messages."},
      {R"({"messages": [], "tool": []})", "The conversation has the unknown key \"tool\"."},
      {R"({"messages": [], "reasoning_effort": "loud"})",
       "reasoning_effort is \"loud\"; expected none, minimal, low, medium, high, xhigh or max."},
      {R"({"messages": [], "response_format": {"type": "xml"}})",
       "response_format.type is \"xml\"; expected text, json_object or json_schema."},
      {R"({"messages": [], "tools": [{"type": "web"}]})",
       "tools[0].type is \"web\"; expected \"function\"."},
      {R"({"messages": [], "tools": [{"function": {}}]})", "tools[0].function has no name."},
      {R"(["x"])", "messages[0] is a string; expected an object with a role."},
      {R"([{"role": "robot"}])",
       "messages[0].role is \"robot\"; expected system, developer, user, assistant, tool or "
       "latest_reminder."},
      {R"([{"role": "user", "contnet": ""}])", "messages[0] has the unknown key \"contnet\"."},
      {R"([{"role": "user", "content": 7}])",
       "messages[0].content is a number; expected a string or an array of parts."},
      {R"([{"role": "user", "content": [{}]}])",
       "messages[0].content[0] has no type; expected for example \"text\"."},
      {R"([{"role": "assistant", "wo_eos": "yes"}])",
       "messages[0].wo_eos is a string; expected true or false."},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]}])",
       "messages[0].tool_calls[0].function.arguments is a number; expected a string of JSON."},
  };
  for (const auto& [json, message] : cases) {
    const Result<Conversation> read = conversation_from_json(parse(json));
    ASSERT_FALSE(read.has_value()) << json;
    EXPECT_EQ(read.error().message, message) << json;
  }
}

}  // namespace
}  // namespace plumb
