#include "gateway/wire/responses_input.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "gateway/wire/parse_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"
#include "gateway/wire/responses.h"
#include "gateway/wire/responses_reasoning.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

// A body; `input` and `more` are JSON.
std::string body_of(const std::string& input, const std::string& more = "") {
  return "{\"input\":" + input + more + "}";
}

Call call_of(const std::string& input, const std::string& more = "") {
  return accepted(kOpenAiResponses, body_of(input, more));
}

Conversation conversation(const Call& call) {
  return call.choices.empty() ? Conversation() : std::get<Conversation>(call.choices[0].prompt);
}

// The messages as the chat shape writes them.
std::string messages(const std::string& input, const std::string& more = "") {
  return conversation_to_json(conversation(call_of(input, more))).find("messages")->dump();
}

TEST(ResponsesInput, AStringIsAMessageOfTheUser) {
  EXPECT_EQ(messages("\"hi\""), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(messages("\"hi\"", ",\"instructions\":\"Be brief.\""),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}])");
  EXPECT_EQ(messages("\"hi\"", ",\"instructions\":\"\""), R"([{"role":"user","content":"hi"}])");
}

TEST(ResponsesInput, MessagesComeInTheEasyAndInTheTypedForm) {
  EXPECT_EQ(messages(R"([{"role":"user","content":"a"},
                         {"role":"assistant","content":"b"},
                         {"type":"message","role":"user","content":"c"}])"),
            R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
            R"({"role":"user","content":"c"}])");
  EXPECT_EQ(
      messages(R"([{"type":"message","role":"user","id":"msg_1","status":"completed",
                          "content":[{"type":"input_text","text":"a"},
                                     {"type":"input_text","text":"b"}]},
                         {"type":"message","role":"assistant","id":"msg_2","status":"completed",
                          "phase":"final_answer","content":[
                            {"type":"output_text","text":"c","annotations":[],"logprobs":[]},
                            {"type":"refusal","refusal":"d"}]},
                         {"role":"user","content":"e"}])"),
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]},)"
      R"({"role":"user","content":"e"}])");
}

TEST(ResponsesInput, WhatTheAssistantWroteInARowIsOneMessage) {
  const std::string input = R"([
    {"role":"user","content":"a"},
    {"type":"reasoning","id":"rs_1","summary":[],
     "content":[{"type":"reasoning_text","text":"b"}]},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"c"}]},
    {"type":"function_call","call_id":"call_0","name":"f","arguments":"{\"x\":1}"},
    {"type":"function_call","call_id":"call_1","name":"g","arguments":"{}","status":"completed"},
    {"type":"function_call_output","call_id":"call_0","output":"d"},
    {"type":"function_call_output","call_id":"call_1",
     "output":[{"type":"input_text","text":"e"},{"type":"input_text","text":"f"}]},
    {"type":"reasoning","summary":[{"type":"summary_text","text":"g"}]},
    {"type":"function_call","call_id":"call_2","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"call_2","output":""}])";
  EXPECT_EQ(messages(input),
            R"([{"role":"user","content":"a"},)"
            R"({"role":"assistant","content":"c","reasoning_content":"b","tool_calls":[)"
            R"({"id":"call_0","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
            R"({"id":"call_1","type":"function","function":{"name":"g","arguments":"{}"}}]},)"
            R"({"role":"tool","content":"d","tool_call_id":"call_0"},)"
            R"({"role":"tool","content":[{"type":"text","text":"e"},{"type":"text","text":"f"}],)"
            R"("tool_call_id":"call_1"},)"
            R"({"role":"assistant","reasoning_content":"g","tool_calls":[)"
            R"({"id":"call_2","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
            R"({"role":"tool","content":"","tool_call_id":"call_2"}])");
}

TEST(ResponsesInput, OfAReasoningItemTheTextCountsBeforeWhatIsPackedBeforeTheSummary) {
  const auto reasoning = [](const std::string& members) {
    const Call call = call_of(R"([{"type":"reasoning",)" + members +
                              R"(},{"role":"assistant","content":"a"},
                                   {"role":"user","content":"b"}])");
    return str(conversation(call).messages[0].reasoning, "|", call.ignored.size());
  };
  const std::string text = R"("content":[{"type":"reasoning_text","text":"t"},
                                         {"type":"text","text":"u"}])";
  const std::string packed = "\"encrypted_content\":\"" + pack_reasoning("p") + "\"";
  const std::string summary = R"("summary":[{"type":"summary_text","text":"s"}])";
  EXPECT_EQ(reasoning(text + "," + packed + "," + summary), "t\n\nu|0");
  EXPECT_EQ(reasoning(packed + "," + summary), "p|0");
  EXPECT_EQ(reasoning(summary), "s|0");
  EXPECT_EQ(reasoning(summary + R"(,"encrypted_content":null,"content":null)"), "s|0");
  // From another service: its summary is all there is, and that is said.
  EXPECT_EQ(reasoning(R"("encrypted_content":"gAAAAABo",)" + summary), "s|1");
  EXPECT_EQ(call_of(R"([{"type":"reasoning","encrypted_content":"gAAAAABo"},
                                     {"role":"user","content":"b"}])")
                .ignored,
            std::vector<std::string>{"input[].encrypted_content"});
}

TEST(ResponsesInput, LeadingInstructionsAreOneSystemMessageAndLaterOnesTheDevelopers) {
  EXPECT_EQ(messages(R"([{"role":"developer","content":"b"},{"role":"system","content":"c"},
                         {"role":"user","content":"d"},{"role":"system","content":"e"},
                         {"role":"user","content":"f"}])",
                     ",\"instructions\":\"a\""),
            R"([{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},)"
            R"({"type":"text","text":"c"}]},{"role":"user","content":"d"},)"
            R"({"role":"developer","content":"e"},{"role":"user","content":"f"}])");
  // All there is to answer.
  EXPECT_EQ(messages(R"([{"role":"system","content":"a"},{"role":"developer","content":"b"}])"),
            R"([{"role":"system","content":"a"},{"role":"developer","content":"b"}])");
  EXPECT_EQ(messages(R"([{"role":"system","content":"a"}])"),
            R"([{"role":"developer","content":"a"}])");
}

// The model's format drops old developer messages together with old reasoning.
TEST(ResponsesInput, LaterInstructionsKeepOldReasoning) {
  EXPECT_TRUE(conversation(call_of(R"([{"role":"developer","content":"a"},
                                     {"role":"user","content":"b"}])"))
                  .drop_old_reasoning);
  EXPECT_FALSE(conversation(call_of(R"([{"role":"user","content":"b"},
                                      {"role":"developer","content":"a"},
                                      {"role":"user","content":"c"}])"))
                   .drop_old_reasoning);
}

TEST(ResponsesInput, WhatCannotBeReadIsRefusedByName) {
  struct Case {
    const char* input;
    const char* param;
    const char* message;
  };
  const Case cases[] = {
      {"7", "input", "input is 7, expected a string or an array of items."},
      {"null", "input", "input is null, expected a value."},
      {"[]", "input", "input is [], expected at least one message."},
      {"[7]", "input[0]", "input[0] is 7, expected an object."},
      {R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])", "input",
       "input ends with what the assistant wrote, expected a message or a function_call_output "
       "that it can answer."},
      {R"([{"content":"a"}])", "input[0].type",
       "input[0].type is missing, expected message, reasoning, function_call or "
       "function_call_output."},
      {R"([{"id":"msg_1"}])", "input[0]",
       "input[0] refers to {\"id\":\"msg_1\"}, but items are not stored; send the item itself."},
      {R"([{"type":"item_reference","id":"msg_1"}])", "input[0]", "but items are not stored"},
      {R"([{"type":"message","content":"a"}])", "input[0].role",
       "input[0].role is missing, expected a string."},
      {R"([{"role":"tool","content":"a"}])", "input[0].role",
       "input[0].role is \"tool\", expected user, system, developer or assistant."},
      {R"([{"role":"user"}])", "input[0].content",
       "input[0].content is missing, expected a value."},
      {R"([{"role":"user","content":7}])", "input[0].content",
       "input[0].content is 7, expected a string or an array of parts."},
      {R"([{"role":"user","content":["a"]}])", "input[0].content[0]",
       "input[0].content[0] is \"a\", expected an object."},
      {R"([{"role":"user","content":[{"type":"text","text":"a"}]}])", "input[0].content[0].type",
       "input[0].content[0].type is \"text\", expected input_text or output_text or refusal."},
      {R"([{"role":"user","content":[{"type":"input_text"}]}])", "input[0].content[0].text",
       "input[0].content[0].text is missing, expected a string."},
      {R"([{"role":"user","content":[{"type":"input_image","image_url":"data:"}]}])",
       "input[0].content[0].type",
       "input[0].content[0].type is \"input_image\", but this model reads text only."},
      {R"([{"role":"user","content":[{"type":"input_file","file_id":"f"}]}])",
       "input[0].content[0].type", "but this model reads text only."},
      {R"([{"type":"function_call","call_id":"c","arguments":"{}"}])", "input[0].name",
       "input[0].name is missing, expected a string."},
      {R"([{"type":"function_call","call_id":"c","name":"","arguments":"{}"}])", "input[0].name",
       "input[0].name is \"\", expected the name of a function."},
      {R"([{"type":"function_call","name":"f","arguments":"{}"}])", "input[0].call_id",
       "input[0].call_id is missing, expected a string."},
      {R"([{"type":"function_call","call_id":"c","name":"f","arguments":{}}])",
       "input[0].arguments", "input[0].arguments is {}, expected a string."},
      {R"([{"type":"function_call_output","call_id":"c"}])", "input[0].output",
       "input[0].output is missing, expected a value."},
      {R"([{"type":"function_call_output","output":"a"}])", "input[0].call_id",
       "input[0].call_id is missing, expected a string."},
      {R"([{"type":"function_call_output","call_id":"c",
            "output":[{"type":"input_image","image_url":"data:"}]}])",
       "input[0].output[0].type", "but this model reads text only."},
      {R"([{"type":"function_call_output","call_id":"c",
            "output":[{"type":"refusal","refusal":"a"}]}])",
       "input[0].output[0].type", "input[0].output[0].type is \"refusal\", expected input_text."},
      {R"([{"type":"reasoning","content":"a"}])", "input[0].content",
       "input[0].content is \"a\", expected an array."},
      {R"([{"type":"reasoning","summary":[{"type":"reasoning_text","text":"a"}]}])",
       "input[0].summary[0].type", "expected summary_text."},
      {R"([{"type":"reasoning","encrypted_content":7}])", "input[0].encrypted_content",
       "input[0].encrypted_content is 7, expected a string."},
  };
  for (const Case& c : cases) {
    const Refusal refusal = refused(kOpenAiResponses, body_of(c.input));
    EXPECT_EQ(refusal.param, c.param) << c.input;
    EXPECT_NE(refusal.message.find(c.message), std::string::npos)
        << c.input << ": " << refusal.message;
    EXPECT_EQ(refusal.status, 400);
  }
  EXPECT_EQ(refused(kOpenAiResponses, "{}").message, "input is missing, expected a value.");
}

TEST(ResponsesInput, ItemsOfToolsThatAServerRunsAreRefusedByName) {
  for (const char* type : {"computer_call",
                           "computer_call_output",
                           "file_search_call",
                           "web_search_call",
                           "code_interpreter_call",
                           "image_generation_call",
                           "local_shell_call",
                           "local_shell_call_output",
                           "shell_call",
                           "apply_patch_call",
                           "mcp_call",
                           "mcp_list_tools",
                           "mcp_approval_request",
                           "mcp_approval_response",
                           "custom_tool_call",
                           "custom_tool_call_output",
                           "tool_search_call",
                           "compaction",
                           "program",
                           "new_thing"}) {
    const std::string item = str("[{\"type\":\"", type, "\",\"id\":\"x\"}]");
    const Refusal refusal = refused(kOpenAiResponses, body_of(item));
    EXPECT_EQ(refusal.param, "input[0].type");
    EXPECT_EQ(refusal.message,
              str("input[0].type is \"", type,
                  "\", but items are message, reasoning, function_call or function_call_output."));
    EXPECT_EQ(refusal.code, "unsupported_parameter");
  }
}

TEST(ResponsesInput, UnknownKeysOfItemsAndPartsAreListed) {
  const Call call = call_of(R"([{"role":"user","name":"x","content":[
      {"type":"input_text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}]}])");
  EXPECT_EQ(call.ignored, (std::vector<std::string>{"input[].content[].prompt_cache_breakpoint",
                                                    "input[].name"}));
}

// The output of a reply to `events`, as a client sends it back.
std::vector<Json> output_of(const std::vector<ChatEvent>& events) {
  const Call call = call_of("\"hi\"", R"(,"include":["reasoning.encrypted_content"])");
  const auto writer = call.writer({"00", 1, "m", "f"});
  std::string out;
  writer->start(1, out);
  for (const ChatEvent& event : events) writer->take(0, event, out);
  writer->end(out);
  return parse_json(out, "reply")->find("output")->items();
}

// As Codex does: ids are left out, and of reasoning all but the summary and what is packed.
Json carried(Json item) {
  std::erase_if(item.members(), [&](const Json::Member& member) {
    return member.first == "id" || member.first == "status" ||
           (member.first == "content" && item.find("type")->text() == "reasoning");
  });
  return item;
}

TEST(ResponsesInput, TheOutputOfAReplySentBackIsTheMessageItWas) {
  int with_all = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const auto events = random_reply(seed);
    Message message;
    for (const ChatEvent& event : events) {
      if (const auto* delta = std::get_if<ReplyDelta>(&event)) append(message, *delta);
    }
    for (ContentPart& part : message.content) part.type_name = "text";
    for (const bool like_codex : {false, true}) {
      std::vector<Json> items = {
          Json::object({{"role", Json::string("user")}, {"content", Json::string("hi")}})};
      for (const Json& item : output_of(events)) items.push_back(like_codex ? carried(item) : item);
      items.push_back(items.front());
      const auto all = conversation(call_of(Json::array(items).dump())).messages;
      if (message == Message()) {
        ASSERT_EQ(all.size(), 2u) << "seed " << seed;
        continue;
      }
      ASSERT_EQ(all.size(), 3u) << "seed " << seed;
      ASSERT_EQ(all[1], message) << "seed " << seed;
    }
    with_all +=
        !message.reasoning.empty() && !message.content.empty() && !message.tool_calls.empty();
  }
  EXPECT_GT(with_all, 100);
}

}  // namespace
}  // namespace plumb::wire
