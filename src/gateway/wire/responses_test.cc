#include "gateway/wire/responses.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gateway/wire/parse_for_tests.h"

namespace plumb::wire {
namespace {

using Names = std::vector<std::string>;

Defaults defaults() {
  Defaults defaults;
  defaults.sampling.temperature = 0.7f;
  defaults.sampling.top_p = 0.95f;
  defaults.sampling.logprobs = 3;
  defaults.effort = Effort::kHigh;
  return defaults;
}

// The body with `members` beside an input.
std::string body_of(const std::string& members) {
  return "{\"input\":\"hi\"" + (members.empty() ? "" : "," + members) + "}";
}

Call call_of(const std::string& members) {
  return accepted(kOpenAiResponses, body_of(members), defaults());
}

const Conversation& conversation(const Call& call) {
  return std::get<Conversation>(call.choices.at(0).prompt);
}

// The object of an empty reply.
Json object_of(const Call& call) {
  const auto writer = call.writer({"00", 1, "m", "f"});
  std::string out;
  writer->start(1, out);
  writer->take(0, Finished(), out);
  writer->end(out);
  return *parse_json(out, "reply");
}

std::string said(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value ? value->dump() : "(absent)";
}

TEST(Responses, AnEmptyRequestTakesTheDefaults) {
  const Call call = call_of("");
  ASSERT_EQ(call.choices.size(), 1u);
  const ChatRequest& request = call.choices[0];
  EXPECT_EQ(call.model, "");
  EXPECT_FALSE(call.stream);
  EXPECT_FALSE(call.seeded);
  EXPECT_TRUE(call.ignored.empty());
  EXPECT_EQ(request.sampling.temperature, 0.7f);
  EXPECT_EQ(request.sampling.top_p, 0.95f);
  EXPECT_EQ(request.sampling.logprobs, -1);
  EXPECT_FALSE(request.report_tokens);
  EXPECT_EQ(request.max_tokens, -1);
  EXPECT_EQ(conversation(call).effort, Effort::kHigh);
  EXPECT_TRUE(conversation(call).drop_old_reasoning);
  EXPECT_EQ(kOpenAiResponses.name, "openai.responses");
}

TEST(Responses, EverySettingArrives) {
  const Call call = call_of(R"("model":"m","stream":true,"max_output_tokens":20,"temperature":0,
      "top_p":0.5,"top_k":5,"min_p":0.1,"presence_penalty":1,"frequency_penalty":-1,"seed":7,
      "stop":["END"],"reasoning":{"effort":"max","context":"all_turns"},
      "include":["message.output_text.logprobs"],"top_logprobs":4)");
  const ChatRequest& request = call.choices[0];
  EXPECT_EQ(call.model, "m");
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(call.stream);
  EXPECT_TRUE(call.seeded);
  EXPECT_TRUE(call.ignored.empty());
  EXPECT_EQ(request.max_tokens, 20);
  EXPECT_EQ(request.sampling.temperature, 0.0f);
  EXPECT_EQ(request.sampling.top_p, 0.5f);
  EXPECT_EQ(request.sampling.top_k, 5);
  EXPECT_EQ(request.sampling.min_p, 0.1f);
  EXPECT_EQ(request.sampling.presence_penalty, 1.0f);
  EXPECT_EQ(request.sampling.frequency_penalty, -1.0f);
  EXPECT_EQ(request.sampling.seed, 7u);
  EXPECT_EQ(request.sampling.logprobs, 4);
  EXPECT_TRUE(request.report_tokens);
  EXPECT_EQ(request.stop, Names{"END"});
  EXPECT_EQ(conversation(call).effort, Effort::kMax);
  EXPECT_FALSE(conversation(call).drop_old_reasoning);
}

TEST(Responses, ToolsAreReadInOneOrderOfKeys) {
  const Call call = call_of(R"("tools":[
      {"type":"function","strict":true,"parameters":{"type":"object"},"description":"d","name":"f"},
      {"type":"function","name":"g","description":null,"parameters":null,"strict":null}])");
  ASSERT_EQ(conversation(call).tools.size(), 2u);
  EXPECT_EQ(conversation(call).tools[0].name, "f");
  EXPECT_EQ(conversation(call).tools[0].function_json,
            R"({"name":"f","description":"d","parameters":{"type":"object"}})");
  EXPECT_EQ(conversation(call).tools[1].function_json, R"({"name":"g"})");
  EXPECT_TRUE(conversation(call).tools[0].strict);
  EXPECT_FALSE(conversation(call).tools[1].strict);
  EXPECT_TRUE(call.ignored.empty());
  EXPECT_EQ(said(object_of(call), "tools"),
            R"([{"type":"function","name":"f","description":"d","parameters":{"type":"object"},)"
            R"("strict":true},{"type":"function","name":"g","description":null,)"
            R"("parameters":null,"strict":false}])");
}

TEST(Responses, WithToolChoiceNoneNoToolIsOffered) {
  const std::string tools = R"("tools":[{"type":"function","name":"f"}],"tool_choice":)";
  EXPECT_EQ(conversation(call_of(tools + "\"auto\"")).tools.size(), 1u);
  const Call none = call_of(tools + "\"none\"");
  EXPECT_TRUE(conversation(none).tools.empty());
  EXPECT_EQ(said(object_of(none), "tool_choice"), "\"none\"");
  EXPECT_NE(said(object_of(none), "tools"), "[]");
}

TEST(Responses, AToolChoiceIsSaidAsItWasUnderstood) {
  const std::string tools = R"("tools":[{"type":"function","name":"f"}],"tool_choice":)";
  EXPECT_EQ(said(object_of(call_of(tools + "\"auto\"")), "tool_choice"), "\"auto\"");
  EXPECT_EQ(said(object_of(call_of(tools + "\"required\"")), "tool_choice"), "\"required\"");
  EXPECT_EQ(said(object_of(call_of(tools + R"({"name":"f","type":"function"})")), "tool_choice"),
            R"({"type":"function","name":"f"})");
}

TEST(Responses, TextFormatsBecomeTheResponseFormat) {
  EXPECT_EQ(conversation(call_of(R"("text":{"format":{"type":"text"}})")).response_format,
            std::nullopt);
  EXPECT_EQ(conversation(call_of(R"("text":{"format":{"type":"json_object"}})")).response_format,
            R"({"type":"object"})");
  const Call call = call_of(R"("text":{"format":{"type":"json_schema","name":"n","strict":false,
                               "schema":{"type":"array"}},"verbosity":"medium"})");
  EXPECT_EQ(conversation(call).response_format, R"({"type":"array"})");
  // Kept, strict or not, and said so.
  EXPECT_EQ(call.choices[0].contract.form,
            (AnswerForm{AnswerForm::Kind::kSchema, R"({"type":"array"})", {}}));
  EXPECT_TRUE(call.ignored.empty());
  EXPECT_EQ(said(object_of(call), "text"),
            R"({"format":{"type":"json_schema","name":"n","description":null,)"
            R"("schema":{"type":"array"},"strict":true},"verbosity":"medium"})");
}

TEST(Responses, TheReplySaysHowTheRequestWasUnderstood) {
  const Json object = object_of(call_of(R"("instructions":"Be brief.","temperature":0.3,
      "metadata":{"a":"b"},"user":"u","safety_identifier":"s","prompt_cache_key":"k",
      "max_output_tokens":9,"reasoning":{"effort":"low"},"parallel_tool_calls":false)"));
  EXPECT_EQ(said(object, "instructions"), "\"Be brief.\"");
  EXPECT_EQ(said(object, "temperature"), "0.3");
  EXPECT_EQ(said(object, "top_p"), "0.95");
  EXPECT_EQ(said(object, "metadata"), "{\"a\":\"b\"}");
  EXPECT_EQ(said(object, "user"), "\"u\"");
  EXPECT_EQ(said(object, "safety_identifier"), "\"s\"");
  EXPECT_EQ(said(object, "prompt_cache_key"), "\"k\"");
  EXPECT_EQ(said(object, "max_output_tokens"), "9");
  EXPECT_EQ(said(object, "reasoning"), "{\"effort\":\"high\",\"summary\":null}");
  EXPECT_EQ(said(object, "parallel_tool_calls"), "false");
  EXPECT_EQ(said(object, "store"), "false");
  EXPECT_EQ(said(object, "background"), "false");
  EXPECT_EQ(said(object, "truncation"), "\"disabled\"");
  EXPECT_EQ(said(object, "service_tier"), "\"default\"");
  EXPECT_EQ(said(object, "previous_response_id"), "null");
  EXPECT_EQ(said(object, "max_tool_calls"), "null");
  EXPECT_EQ(said(object, "top_logprobs"), "0");
  EXPECT_EQ(said(object, "presence_penalty"), "0");
  EXPECT_EQ(said(object, "frequency_penalty"), "0");
  EXPECT_EQ(said(object_of(call_of("")), "metadata"), "{}");
  EXPECT_EQ(said(object_of(call_of("")), "instructions"), "null");
  EXPECT_EQ(said(object_of(call_of("")), "parallel_tool_calls"), "true");
}

TEST(Responses, WhatAsksForNothingPasses) {
  for (const char* members :
       {R"("store":false)",
        R"("background":false)",
        R"("previous_response_id":null)",
        R"("conversation":null)",
        R"("prompt":null)",
        R"("truncation":"disabled")",
        R"("truncation":null)",
        R"("context_management":[])",
        R"("service_tier":"auto")",
        R"("service_tier":"default")",
        R"("tool_choice":"auto")",
        R"("parallel_tool_calls":true)",
        R"("top_logprobs":0)",
        R"("include":[])",
        R"("stream_options":{"include_obfuscation":false})",
        R"("reasoning":{"mode":"standard","context":"auto"})",
        R"("reasoning":{"effort":null})",
        R"("prompt_cache_retention":"24h")",
        R"("prompt_cache_options":{"mode":"implicit","ttl":"30m","prewarm":false})",
        R"("text":{})",
        R"("tools":[])",
        R"("stream":false)"}) {
    EXPECT_TRUE(call_of(members).ignored.empty()) << members;
  }
}

TEST(Responses, WhatHasNoEffectIsListed) {
  EXPECT_EQ(call_of(R"("text":{"verbosity":"low"})").ignored, Names{"text.verbosity"});
  EXPECT_EQ(call_of(R"("reasoning":{"summary":"auto","generate_summary":"detailed"})").ignored,
            (Names{"reasoning.summary", "reasoning.generate_summary"}));
  EXPECT_EQ(call_of(R"("client_metadata":{"a":"b"})").ignored, Names{"client_metadata"});
  EXPECT_EQ(call_of(R"("tools":[{"type":"function","name":"f","defer_loading":true}])").ignored,
            Names{"tools[].defer_loading"});
}

// What Codex sends with every turn.
TEST(Responses, ARequestAsAnAgentSendsItIsServed) {
  const Call call = accepted(kOpenAiResponses, R"({"model":"m","instructions":"You code.","input":[
        {"type":"message","role":"developer","content":[{"type":"input_text","text":"Rules."}]},
        {"type":"message","role":"user","content":[{"type":"input_text","text":"Hi."}]}],
        "tools":[{"type":"function","name":"shell","description":"Runs.","strict":false,
                  "parameters":{"type":"object","properties":{}}}],
        "tool_choice":"auto","parallel_tool_calls":false,
        "reasoning":{"effort":"medium","summary":"auto"},"store":false,"stream":true,
        "include":["reasoning.encrypted_content"],"prompt_cache_key":"k"})");
  EXPECT_EQ(call.ignored, Names{"reasoning.summary"});
  EXPECT_FALSE(call.choices.at(0).contract.parallel_calls);
}

TEST(Responses, WhatIsNotOfferedIsRefusedByName) {
  struct Case {
    const char* members;
    const char* param;
  };
  const Case cases[] = {
      {R"("store":true)", "store"},
      {R"("previous_response_id":"resp_1")", "previous_response_id"},
      {R"("conversation":"conv_1")", "conversation"},
      {R"("conversation":{"id":"conv_1"})", "conversation"},
      {R"("prompt":{"id":"pmpt_1"})", "prompt"},
      {R"("background":true)", "background"},
      {R"("truncation":"auto")", "truncation"},
      {R"("context_management":[{"type":"compaction"}])", "context_management"},
      {R"("max_tool_calls":3)", "max_tool_calls"},
      {R"("moderation":{"model":"m"})", "moderation"},
      {R"("prompt_cache_options":{"prewarm":true})", "prompt_cache_options.prewarm"},
      {R"("service_tier":"priority")", "service_tier"},
      {R"("stream_options":{"include_obfuscation":true})", "stream_options.include_obfuscation"},
      {R"("include":["web_search_call.action.sources"])", "include[0]"},
      {R"("include":["reasoning.encrypted_content",7])", "include[1]"},
      {R"("top_logprobs":2)", "top_logprobs"},
      {R"("top_logprobs":21)", "top_logprobs"},
      {R"("tool_choice":"any")", "tool_choice"},
      {R"("tool_choice":{"type":"function"})", "tool_choice.name"},
      {R"("tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]})", "tool_choice.type"},
      {R"("parallel_tool_calls":"no")", "parallel_tool_calls"},
      {R"("tools":{"type":"function"})", "tools"},
      {R"("tools":[{"name":"f"}])", "tools[0].type"},
      {R"("tools":[{"type":"function"}])", "tools[0].name"},
      {R"("tools":[{"type":"function","name":""}])", "tools[0].name"},
      {R"("tools":[{"type":"function","name":"a\">b"}])", "tools[0].name"},
      {R"("tools":[{"type":"function","function":{"name":"f"}}])", "tools[0].name"},
      {R"("tools":[{"type":"function","name":"f","parameters":"{}"}])", "tools[0].parameters"},
      {R"("tools":[{"type":"function","name":"f","strict":"yes"}])", "tools[0].strict"},
      {R"("tools":[{"type":"function","name":"f"},{"type":"web_search"}])", "tools[1].type"},
      {R"("tools":[{"type":"file_search","vector_store_ids":[]}])", "tools[0].type"},
      {R"("tools":[{"type":"code_interpreter","container":"c"}])", "tools[0].type"},
      {R"("tools":[{"type":"computer_use_preview"}])", "tools[0].type"},
      {R"("tools":[{"type":"mcp","server_label":"s"}])", "tools[0].type"},
      {R"("tools":[{"type":"image_generation"}])", "tools[0].type"},
      {R"("tools":[{"type":"local_shell"}])", "tools[0].type"},
      {R"("tools":[{"type":"custom","name":"apply_patch"}])", "tools[0].type"},
      {R"("tools":[{"type":"namespace","name":"n","tools":[]}])", "tools[0].type"},
      {R"("text":{"format":{"type":"json_schema","name":"n","schema":{},"strict":1}})",
       "text.format.strict"},
      {R"("text":{"format":{"type":"json_schema","name":"n"}})", "text.format.schema"},
      {R"("text":{"format":{"type":"json_schema","schema":{}}})", "text.format.name"},
      {R"("text":{"format":{"type":"json_schema","name":"n","schema":"{}"}})",
       "text.format.schema"},
      {R"("text":{"format":{"type":"grammar"}})", "text.format.type"},
      {R"("text":{"format":{}})", "text.format.type"},
      {R"("text":{"verbosity":"endless"})", "text.verbosity"},
      {R"("reasoning":{"effort":"little"})", "reasoning.effort"},
      {R"("reasoning":{"summary":"long"})", "reasoning.summary"},
      {R"("reasoning":{"mode":"pro"})", "reasoning.mode"},
      {R"("reasoning":{"context":"none"})", "reasoning.context"},
      {R"("metadata":{"a":1})", "metadata.a"},
      {R"("metadata":"a")", "metadata"},
      {R"("max_output_tokens":0)", "max_output_tokens"},
      {R"("temperature":2.5)", "temperature"},
      {R"("stream":"yes")", "stream"},
      {R"("model":7)", "model"},
      {R"("instructions":["a"])", "instructions"},
      {R"("user":7)", "user"},
      {R"("regex":"a+")", "regex"},
      {R"("guided_json":[])", "guided_json"},
  };
  for (const Case& c : cases) {
    const Refusal refusal = refused(kOpenAiResponses, body_of(c.members));
    EXPECT_EQ(refusal.param, c.param) << refusal.message;
    EXPECT_TRUE(refusal.message.starts_with(c.param)) << refusal.message;
    EXPECT_TRUE(refusal.message.ends_with(".")) << refusal.message;
    EXPECT_EQ(refusal.status, 400);
  }
}

TEST(Responses, ABodyThatIsNoObjectIsRefused) {
  EXPECT_EQ(refused(kOpenAiResponses, "[]").message, "The body is [], expected an object.");
}

TEST(Responses, ARefusalHasTheShapeOfOpenAi) {
  const Refusal refusal = refused(kOpenAiResponses, body_of(R"("store":true)"));
  const auto body = parse_json(kOpenAiResponses.refusal_body(refusal, "req_1"), "body");
  ASSERT_TRUE(body.has_value());
  const Json* error = body->find("error");
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->find("message")->text(), "store is true, but replies are not stored.");
  EXPECT_EQ(error->find("param")->text(), "store");
  EXPECT_EQ(error->find("type")->text(), "invalid_request_error");
}

}  // namespace
}  // namespace plumb::wire
