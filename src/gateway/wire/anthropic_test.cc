#include "gateway/wire/anthropic.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "gateway/wire/anthropic_count.h"
#include "gateway/wire/fields.h"

namespace plumb::wire {
namespace {

// A plain request with some fields replaced or added.
Json request(const std::string& fields) {
  Json body = *parse_json(
      R"({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]})",
      "body");
  const Json changes = *parse_json("{" + fields + "}", fields);
  for (const auto& [key, value] : changes.members()) body.set(key, value);
  return body;
}

Call call_of(const std::string& fields, const Defaults& defaults = {}) {
  Parsed parsed = kAnthropicMessages.parse(request(fields), defaults);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
    ADD_FAILURE() << refusal->message;
    Call call;
    call.choices.emplace_back();
    call.choices[0].prompt = Conversation{};
    return call;
  }
  return std::get<Call>(std::move(parsed));
}

Conversation conversation_of(const std::string& fields, const Defaults& defaults = {}) {
  return std::get<Conversation>(call_of(fields, defaults).choices.at(0).prompt);
}

std::vector<Message> turns_of(const std::string& messages) {
  return conversation_of("\"messages\": " + messages).messages;
}

Refusal refusal_of_request(const std::string& fields) {
  const Parsed parsed = kAnthropicMessages.parse(request(fields), {});
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) return *refusal;
  return {200, "accepted: " + fields, "", "", {}};
}

Message tool_message(const std::string& id, const std::string& text) {
  Message message = Message::of(Role::kTool, text);
  message.tool_call_id = id;
  return message;
}

TEST(AnthropicRequest, APlainOneLeavesTheRestToTheDefaults) {
  Defaults defaults;
  defaults.effort = Effort::kMax;
  defaults.sampling.temperature = 0.6f;
  defaults.sampling.top_p = 0.95f;
  const Call call = call_of("", defaults);
  EXPECT_EQ(call.model, "m");
  ASSERT_EQ(call.choices.size(), 1u);
  EXPECT_EQ(call.choices[0].max_tokens, 100);
  EXPECT_EQ(call.choices[0].sampling.temperature, 0.6f);
  EXPECT_EQ(call.choices[0].sampling.top_p, 0.95f);
  EXPECT_FALSE(call.stream);
  EXPECT_FALSE(call.seeded);
  EXPECT_TRUE(call.ignored.empty());
  const auto& conversation = std::get<Conversation>(call.choices[0].prompt);
  EXPECT_EQ(conversation.effort, Effort::kMax);
  EXPECT_TRUE(conversation.drop_old_reasoning);
  EXPECT_EQ(conversation.messages, std::vector{Message::of(Role::kUser, "Hi")});
}

TEST(AnthropicRequest, EveryOptionArrives) {
  const Call call = call_of(
      R"("max_tokens": 7, "temperature": 0.25, "top_p": 0.5, "top_k": 40, "seed": 12, "stream": true,
         "stop_sequences": ["END", "\n\n"])");
  const ChatRequest& choice = call.choices.at(0);
  EXPECT_EQ(choice.max_tokens, 7);
  EXPECT_EQ(choice.sampling.temperature, 0.25f);
  EXPECT_EQ(choice.sampling.top_p, 0.5f);
  EXPECT_EQ(choice.sampling.top_k, 40);
  EXPECT_EQ(choice.sampling.seed, 12u);
  EXPECT_TRUE(call.seeded);
  EXPECT_TRUE(call.stream);
  EXPECT_EQ(choice.stop, (std::vector<std::string>{"END", "\n\n"}));
}

TEST(AnthropicRequest, WhatMeansNothingHerePasses) {
  const Call call = call_of(
      R"("metadata": {"user_id": "u"}, "service_tier": "standard_only", "speed": "standard",
         "cache_control": {"type": "ephemeral"}, "container": null, "mcp_servers": [],
         "inference_geo": null, "thinking": {"type": "adaptive", "display": "summarized"},
         "output_format": null, "output_config": {"format": null},
         "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
         "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
         "system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}],
         "messages": [{"role": "user", "content": [
             {"type": "text", "text": "Hi", "citations": null, "cache_control": null}]}])");
  EXPECT_TRUE(call.ignored.empty()) << call.ignored.front();
}

TEST(AnthropicRequest, WhatIsLeftUnreadIsListed) {
  const Call call = call_of(
      R"("diagnostics": {}, "thinking": {"type": "enabled", "budget_tokens": 2048},
         "tools": [{"name": "t", "input_schema": {}, "input_examples": []}],
         "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": [
             {"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "A"}]},
             {"role": "user", "content": "R", "id": 1}])");
  EXPECT_EQ(call.ignored, (std::vector<std::string>{"messages[].content[].data", "messages[].id",
                                                    "tools[].input_examples", "diagnostics"}));
  EXPECT_EQ(call.choices.at(0).guards.max_reasoning, 2048);
}

TEST(AnthropicRequest, RefusalsNameTheField) {
  const struct {
    const char* fields;
    const char* param;
    const char* says;
  } cases[] = {
      {R"("model": null)", "model", "is null, expected a string"},
      {R"("max_tokens": null)", "max_tokens", "is null, expected an integer"},
      {R"("max_tokens": -1)", "max_tokens", "-1"},
      {R"("max_tokens": 1.5)", "max_tokens", "1.5"},
      {R"("messages": null)", "messages", "is null, expected an array"},
      {R"("messages": [])", "messages", "at least one message"},
      {R"("messages": ["Hi"])", "messages[0]", "expected an object"},
      {R"("messages": [{"content": "Hi"}])", "messages[0].role", "is missing"},
      {R"("messages": [{"role": "tool", "content": "Hi"}])", "messages[0].role",
       "\"tool\", expected user, assistant or system"},
      {R"("messages": [{"role": "user"}])", "messages[0].content", "is missing"},
      {R"("messages": [{"role": "user", "content": 3}])", "messages[0].content", "a string or"},
      {R"("messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}])",
       "messages[0].content[0].type", "\"image\", expected text or tool_result"},
      {R"("messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}])",
       "messages[0].content[0].type", "\"document\""},
      {R"("messages": [{"role": "user", "content": [{"type": "search_result"}]}])",
       "messages[0].content[0].type", "\"search_result\""},
      {R"("messages": [{"role": "user", "content": [{"type": "text"}]}])",
       "messages[0].content[0].text", "is missing"},
      {R"("messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}])",
       "messages[0].content[0].tool_use_id", "is missing"},
      {R"("messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a",
           "content": [{"type": "search_result"}]}]}])",
       "messages[0].content[0].content[0].type", "\"search_result\""},
      {R"("messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}])",
       "messages[0].content[0].type", "\"server_tool_use\""},
      {R"("messages": [{"role": "assistant", "content": [{"type": "tool_result"}]}])",
       "messages[0].content[0].type", "\"tool_result\""},
      {R"("messages": [{"role": "assistant", "content": [{"type": "thinking"}]}])",
       "messages[0].content[0].thinking", "is missing"},
      {R"("messages": [{"role": "assistant", "content": [
           {"type": "tool_use", "id": "a", "name": "t", "input": "{}"}]}])",
       "messages[0].content[0].input", "expected an object"},
      {R"("messages": [{"role": "assistant", "content": [
           {"type": "tool_use", "id": "a", "name": "", "input": {}}]}])",
       "messages[0].content[0].name", "the name of a tool"},
      {R"("messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": [
           {"type": "tool_use", "id": "call_9", "name": "t", "input": {}}]}])",
       "messages[1]", "the tool call \"call_9\", expected its tool_result"},
      {R"("messages": [{"role": "system", "content": "S", "clear_at": "next_user_message"}])",
       "messages[0].clear_at", "system messages stay"},
      {R"("messages": [{"role": "system", "content": "S", "output_config": {"effort": "low"}}])",
       "messages[0].output_config", "one for the whole request"},
      {R"("system": 3)", "system", "a string or an array of blocks"},
      {R"("system": [{"type": "image"}])", "system[0].type", "\"image\", expected text"},
      {R"("tools": {})", "tools", "an array"},
      {R"("tools": [{"type": "web_search_20250305", "name": "web_search"}])", "tools[0].type",
       "\"web_search_20250305\", but only custom tools"},
      {R"("tools": [{"type": "bash_20250124", "name": "bash"}])", "tools[0].type", "bash_20250124"},
      {R"("tools": [{"type": "computer_20250124", "name": "computer"}])", "tools[0].type",
       "computer_20250124"},
      {R"("tools": [{"name": "t"}])", "tools[0].input_schema", "is missing, expected an object"},
      {R"("tools": [{"input_schema": {}}])", "tools[0].name", "is missing"},
      {R"("tools": [{"name": "a\">b", "input_schema": {}}])", "tools[0].name", "letters, digits"},
      {R"("tools": [{"name": "t", "input_schema": {}}, {"name": "t", "input_schema": {}}])",
       "tools[1].name", "no other tool has"},
      {R"("tools": [{"name": "t", "input_schema": {}, "strict": "yes"}])", "tools[0].strict",
       "true or false"},
      {R"("tool_choice": "auto")", "tool_choice", "expected an object"},
      {R"("tool_choice": {})", "tool_choice.type", "is missing"},
      {R"("tool_choice": {"type": "some"})", "tool_choice.type", "auto, any, tool or none"},
      {R"("tool_choice": {"type": "tool"})", "tool_choice.name", "is missing"},
      {R"("tool_choice": {"type": "any", "disable_parallel_tool_use": 1})",
       "tool_choice.disable_parallel_tool_use", "true or false"},
      {R"("thinking": {"type": "between_tools"})", "thinking.type",
       "enabled, adaptive or disabled"},
      {R"("thinking": {"type": "adaptive", "display": "some"})", "thinking.display",
       "summarized or omitted"},
      {R"("thinking": {"type": "enabled", "budget_tokens": -1})", "thinking.budget_tokens", "-1"},
      {R"("output_config": {"effort": "huge"})", "output_config.effort", "low, medium, high"},
      {R"("output_config": {"format": {"type": "xml"}})", "output_config.format.type",
       "text, json_object or json_schema"},
      {R"("output_format": {"type": "json_schema"})", "output_format.schema", "an object"},
      {R"("context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]})",
       "context_management.edits[0].type", "not edited"},
      {R"("container": "c")", "container", "no containers"},
      {R"("mcp_servers": [{"url": "x"}])", "mcp_servers", "no other servers"},
      {R"("inference_geo": "eu")", "inference_geo", "cannot be chosen"},
      {R"("thread": {"type": "create"})", "thread", "not kept"},
      {R"("compaction": {"type": "summarize"})", "compaction", "not edited"},
      {R"("service_tier": "priority")", "service_tier", "auto or standard_only"},
      {R"("speed": "fast")", "speed", "only one speed"},
      {R"("temperature": 1.5)", "temperature", "a number from 0 to 1"},
      {R"("top_p": 0)", "top_p", "above 0"},
      {R"("top_k": -1)", "top_k", "-1"},
      {R"("stop_sequences": "END")", "stop_sequences", "an array"},
      {R"("stop_sequences": ["a", ""])", "stop_sequences[1]", "a string with text"},
      {R"("stream": "yes")", "stream", "true or false"},
      {R"("seed": -1)", "seed", "-1"},
  };
  for (const auto& c : cases) {
    const Refusal refusal = refusal_of_request(c.fields);
    EXPECT_EQ(refusal.status, 400) << c.fields;
    EXPECT_EQ(refusal.param, c.param) << c.fields;
    EXPECT_TRUE(refusal.message.starts_with(c.param)) << refusal.message;
    EXPECT_NE(refusal.message.find(c.says), std::string::npos) << refusal.message;
  }
  const Parsed parsed = kAnthropicMessages.parse(Json::array(), {});
  const auto& refusal = std::get<Refusal>(parsed);
  EXPECT_EQ(refusal.message, "The body is [], expected an object.");
  EXPECT_EQ(kAnthropicMessages.refusal_body(refusal, ""),
            R"({"type":"error","error":{"type":"invalid_request_error",)"
            R"("message":"The body is [], expected an object."}})");
}

TEST(AnthropicRequest, WhatIsMissingIsNamed) {
  for (const char* field : {"model", "max_tokens", "messages"}) {
    Json body = request("");
    std::erase_if(body.members(), [&](const Json::Member& m) { return m.first == field; });
    const Parsed parsed = kAnthropicMessages.parse(body, {});
    ASSERT_TRUE(std::holds_alternative<Refusal>(parsed)) << field;
    EXPECT_EQ(std::get<Refusal>(parsed).param, field);
    EXPECT_TRUE(std::get<Refusal>(parsed).message.starts_with(std::string(field) +
                                                              " is missing, expected"));
  }
}

TEST(AnthropicTurns, SystemLeadsAndMayComeLaterToo) {
  const Conversation conversation = conversation_of(
      R"("system": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
         "messages": [{"role": "user", "content": "Q"}, {"role": "system", "content": "Later."},
                      {"role": "user", "content": "R"}])");
  ASSERT_EQ(conversation.messages.size(), 4u);
  EXPECT_EQ(conversation.messages[0].role, Role::kSystem);
  EXPECT_EQ(conversation.messages[0].text(), "One.\n\nTwo.");
  EXPECT_EQ(conversation.messages[2], Message::of(Role::kSystem, "Later."));
}

TEST(AnthropicTurns, TheBillingLineIsNotPartOfThePrompt) {
  const std::string line = "x-anthropic-billing-header: cc_version=1; cch=12ab;";
  for (const std::string& system :
       {"[{\"type\": \"text\", \"text\": \"" + line + "\"}, {\"type\": \"text\", \"text\": \"S\"}]",
        "\"" + line + "\\nS\""}) {
    const Call call = call_of("\"system\": " + system);
    const auto& conversation = std::get<Conversation>(call.choices[0].prompt);
    EXPECT_EQ(conversation.messages.at(0), Message::of(Role::kSystem, "S"));
    EXPECT_EQ(call.ignored, std::vector<std::string>{"system.x-anthropic-billing-header"});
  }
  // It is listed within the bound that every list of what was ignored has.
  std::string block = R"({"type": "text", "text": "S")";
  for (std::size_t i = 0; i < kMostIgnored; ++i) block += ", \"k" + std::to_string(i) + "\": 1";
  const Call full = call_of("\"other\": 1, \"system\": [" + block +
                            "}, {\"type\": \"text\", \"text\": \"" + line + "\"}]");
  EXPECT_EQ(full.ignored.size(), kMostIgnored);
  // Said elsewhere it is what somebody said.
  EXPECT_EQ(conversation_of("\"system\": \"S " + line + "\"").messages.at(0).text(), "S " + line);
  EXPECT_EQ(turns_of("[{\"role\": \"user\", \"content\": \"" + line + "\"}]").at(0).text(), line);
}

TEST(AnthropicTurns, ResultsAndTextOfOneMessageStayInOrder) {
  const auto turns = turns_of(R"([{"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "a", "content": "1"},
      {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "2"}]},
      {"type": "text", "text": "now"}, {"type": "text", "text": "go"},
      {"type": "tool_result", "tool_use_id": "c"}]}])");
  ASSERT_EQ(turns.size(), 4u);
  EXPECT_EQ(turns[0], tool_message("a", "1"));
  EXPECT_EQ(turns[1], tool_message("b", "2"));
  EXPECT_EQ(turns[2].role, Role::kUser);
  EXPECT_EQ(turns[2].text(), "now\n\ngo");
  EXPECT_EQ(turns[3].tool_call_id, "c");
  EXPECT_TRUE(turns[3].content.empty());
}

TEST(AnthropicTurns, AFailedCallLooksFailedToTheModel) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("content": "no such file", "is_error": true)", "Error: no such file"},
      {R"("content": "ERROR 7", "is_error": true)", "ERROR 7"},
      {R"("is_error": true)", "Error"},
      {R"("content": [], "is_error": true)", "Error"},
      {R"("content": "fine", "is_error": false)", "fine"},
  };
  for (const auto& [fields, text] : cases) {
    const auto turns = turns_of(
        std::string(
            R"([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", )") +
        fields + "}]}]");
    ASSERT_EQ(turns.size(), 1u);
    EXPECT_EQ(turns[0].text(), text);
  }
}

TEST(AnthropicTurns, PicturesInAToolResultArePartsThatTheModelIsToldOf) {
  const Call call = call_of(R"("messages": [{"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "a", "content": [
        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
        {"type": "document", "source": {}}, {"type": "text", "text": "seen"}]}]}])");
  const auto& message = std::get<Conversation>(call.choices[0].prompt).messages.at(0);
  ASSERT_EQ(message.content.size(), 3u);
  EXPECT_EQ(message.content[0].kind, ContentPart::Kind::kImage);
  EXPECT_EQ(message.content[0].type_name, "image");
  EXPECT_EQ(message.content[1].kind, ContentPart::Kind::kDocument);
  EXPECT_EQ(message.content[2].text, "seen");
  EXPECT_EQ(call.ignored, std::vector<std::string>{"messages[].content[].content[].source"});
}

TEST(AnthropicTurns, AnAssistantTurnGathersItsBlocksAcrossMessages) {
  const auto turns = turns_of(R"([{"role": "user", "content": "Q"},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm ", "signature": "forged"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "I "}]},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "so", "signature": ""},
        {"type": "text", "text": "look."},
        {"type": "tool_use", "id": "a", "name": "get", "input": {"n": 1.50, "s": "é"},
         "caller": {"type": "direct"}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]}])");
  ASSERT_EQ(turns.size(), 3u);
  Message expected = Message::of(Role::kAssistant, "I look.");
  expected.reasoning = "hm so";
  expected.tool_calls = {{"a", "get", R"({"n":1.50,"s":"é"})"}};
  EXPECT_EQ(turns[1], expected);
}

TEST(AnthropicTurns, ALastAssistantMessageIsContinued) {
  const auto turns =
      turns_of(R"([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "Par"}])");
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_TRUE(turns[1].wo_eos);
  EXPECT_EQ(turns[1].text(), "Par");
  const auto empty =
      turns_of(R"([{"role": "user", "content": "Q"}, {"role": "assistant", "content": ""}])");
  EXPECT_EQ(empty, std::vector{Message::of(Role::kUser, "Q")});
}

TEST(AnthropicTurns, AnEmptyUserTurnIsATurn) {
  const auto turns = turns_of(
      R"([{"role": "assistant", "content": "A"}, {"role": "user", "content": []},
          {"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}])");
  ASSERT_EQ(turns.size(), 4u);
  EXPECT_EQ(turns[1], Message{});
  EXPECT_FALSE(turns[0].wo_eos);
}

TEST(AnthropicTools, BecomeFunctions) {
  const std::string tools =
      R"("tools": [{"name": "get", "description": "D", "input_schema": {"type": "object",
           "properties": {"b": {}, "a": {}}}, "cache_control": {"type": "ephemeral"},
           "eager_input_streaming": true, "defer_loading": false, "strict": false},
         {"type": "custom", "name": "now", "input_schema": {}}])";
  const Call call = call_of(tools);
  EXPECT_TRUE(call.ignored.empty());
  const std::vector<ToolSpec> expected = {
      {"get",
       R"({"name":"get","description":"D","parameters":{"type":"object","properties":{"b":{},"a":{}}}})"},
      {"now", R"({"name":"now","parameters":{}})"}};
  EXPECT_EQ(std::get<Conversation>(call.choices[0].prompt).tools, expected);
  EXPECT_TRUE(conversation_of(tools + R"(, "tool_choice": {"type": "none"})").tools.empty());
}

// What the writer of such a call makes of a reply that holds a call.
std::string reply_with_call(const Call& call) {
  std::string out;
  const auto writer = call.writer({"00000000000000000000000000000000", 0, "m", ""});
  writer->take(0, ReplyDelta(ReasoningDelta{"hm"}), out);
  writer->take(0, ReplyDelta(ToolCallDelta{0, "call_0", "t", "{}"}), out);
  writer->take(0, Finished{}, out);
  writer->end(out);
  return out;
}

TEST(AnthropicTools, CallsReachOnlyAClientThatOfferedTools) {
  const std::string tools = R"("tools": [{"name": "t", "input_schema": {}}])";
  EXPECT_NE(reply_with_call(call_of(tools)).find("\"tool_use\""), std::string::npos);
  for (const std::string& fields :
       {std::string(), tools + R"(, "tool_choice": {"type": "none"})"}) {
    EXPECT_EQ(reply_with_call(call_of(fields)).find("tool_use"), std::string::npos);
  }
}

TEST(AnthropicThinking, DecidesTheEffort) {
  const std::pair<const char*, Effort> cases[] = {
      {R"("thinking": {"type": "enabled", "budget_tokens": 1024})", Effort::kHigh},
      {R"("thinking": {"type": "adaptive"})", Effort::kHigh},
      {R"("thinking": {"type": "disabled"})", Effort::kNone},
      {R"("thinking": {"type": "disabled"}, "output_config": {"effort": "max"})", Effort::kNone},
      {R"("thinking": {"type": "adaptive"}, "output_config": {"effort": "max"})", Effort::kMax},
      {R"("thinking": {"type": "adaptive"}, "output_config": {"effort": "low"})", Effort::kHigh},
      {R"("output_config": {"effort": "medium"})", Effort::kHigh},
      {R"("output_config": {"effort": "xhigh"})", Effort::kMax},
      {"", Effort::kNone},
  };
  for (const auto& [fields, effort] : cases) {
    EXPECT_EQ(conversation_of(fields).effort, effort) << fields;
  }
}

TEST(AnthropicThinking, OmittedComesBackFromItsSignature) {
  const Json shown =
      *parse_json(reply_with_call(call_of(R"("thinking": {"type": "adaptive"})")), "reply");
  EXPECT_EQ(shown.find("content")->items().at(0).find("thinking")->text(), "hm");
  const Json omitted = *parse_json(
      reply_with_call(call_of(R"("thinking": {"type": "adaptive", "display": "omitted"})")),
      "reply");
  const Json& block = omitted.find("content")->items().at(0);
  EXPECT_EQ(block.find("thinking")->text(), "");
  const auto turns = turns_of(R"([{"role": "assistant", "content": [)" + block.dump() +
                              R"(]}, {"role": "user", "content": "Q"}])");
  EXPECT_EQ(turns.at(0).reasoning, "hm");
}

TEST(AnthropicCount, ReadsWhatTheReplyWouldRead) {
  const std::string fields =
      R"("system": "S", "thinking": {"type": "enabled"}, "temperature": 0.5,
         "tools": [{"name": "t", "input_schema": {}}], "foo": 1)";
  const auto parsed = parse_anthropic_count(request(fields + R"(, "max_tokens": null)"), {});
  ASSERT_TRUE(std::holds_alternative<CountCall>(parsed)) << std::get<Refusal>(parsed).message;
  const auto& call = std::get<CountCall>(parsed);
  EXPECT_EQ(call.model, "m");
  EXPECT_EQ(std::get<Conversation>(call.prompt), conversation_of(fields));
  EXPECT_EQ(call.ignored, std::vector<std::string>{"foo"});
  EXPECT_EQ(anthropic_count(12), R"({"input_tokens":12})");
}

TEST(AnthropicCount, RefusesWhatTheReplyWouldRefuse) {
  for (const char* fields :
       {R"("model": null)", R"("messages": [])", R"("tools": [{"type": "bash_20250124"}])"}) {
    const auto parsed = parse_anthropic_count(request(fields), {});
    ASSERT_TRUE(std::holds_alternative<Refusal>(parsed)) << fields;
    EXPECT_EQ(std::get<Refusal>(parsed).message, refusal_of_request(fields).message);
  }
}

}  // namespace
}  // namespace plumb::wire
