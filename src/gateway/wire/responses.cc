#include "gateway/wire/responses.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/contract_fields.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/openai_error.h"
#include "gateway/wire/openai_fields.h"
#include "gateway/wire/openai_messages.h"
#include "gateway/wire/responses_input.h"
#include "gateway/wire/responses_writer.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

constexpr int kMostTopLogprobs = 20;

// What has been read so far.
struct Request {
  ChatRequest chat;
  Conversation conversation;
  ResponsesSettings settings;
  bool seeded = false;
  // For the echo.
  Json tools = Json::array();
  bool offer_tools = true;
  Json text_format = Json::object({{"type", Json::string("text")}});
  Json metadata = Json::object();
  std::optional<int> max_output_tokens;
};

Json string_or_null(const std::optional<std::string>& text) {
  return text ? Json::string(*text) : Json();
}

Json value_or_null(const Json* value) { return value ? *value : Json(); }

// As short as reads back the same float: 0.7, not 0.699999988079071.
Json real(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return Json::number(std::string(text, end));
}

void refuse_state(Fields& body) {
  constexpr std::string_view kStateless = "nothing is stored; send the whole conversation as input";
  body.unsupported("previous_response_id", kStateless);
  body.unsupported("conversation", kStateless);
  body.unsupported("prompt", "prompt templates are not stored here");
  body.unsupported("background", "a reply is written while its request waits", "false");
  body.unsupported("truncation", "input that does not fit is refused, never cut", "\"disabled\"");
  body.unsupported("context_management", "input is never cut or compacted", "[]");
  body.unsupported("max_tool_calls", "tools are run by the client, who can count the calls");
  body.unsupported("moderation", "nothing here judges what is written");
  if (const Json* object = body.object("prompt_cache_options")) {
    Fields options(*object, "prompt_cache_options", body.reading());
    for (const std::string_view key : {"mode", "ttl"}) options.pass(key);
    options.unsupported("prewarm", "every request is answered", "false");
  }
}

void read_stream(Fields& body, Request& request) {
  request.settings.stream = body.boolean("stream").value_or(false);
  if (const Json* object = body.object("stream_options")) {
    Fields options(*object, "stream_options", body.reading());
    options.unsupported("include_obfuscation", "events are not padded", "false");
  }
}

void read_include(Fields& body, ResponsesSettings& settings) {
  const Json* include = body.array("include");
  if (!include) return;
  for (std::size_t i = 0; i < include->items().size() && body.reading().ok(); ++i) {
    const Json& item = include->items()[i];
    if (item.is_string() && item.text() == "reasoning.encrypted_content") {
      settings.pack_reasoning = true;
    } else if (item.is_string() && item.text() == "message.output_text.logprobs") {
      settings.logprobs = true;
    } else {
      const std::string path = str("include[", i, "]");
      body.reading().refuse(path,
                            str(path, " is ", shown(item),
                                ", expected \"reasoning.encrypted_content\" or "
                                "\"message.output_text.logprobs\"."),
                            "unsupported_value");
    }
  }
}

void read_logprobs(Fields& body, Request& request) {
  const auto top = body.integer("top_logprobs", 0, kMostTopLogprobs).value_or(0);
  const bool asked = request.settings.logprobs;
  if (!asked) {
    body.unsupported("top_logprobs",
                     "log probabilities are given where include has "
                     "\"message.output_text.logprobs\"",
                     "0");
  }
  request.chat.report_tokens = asked;
  request.chat.sampling.logprobs = asked ? static_cast<int>(top) : -1;
}

void read_reasoning(Fields& body, Conversation& conversation) {
  const Json* object = body.object("reasoning");
  if (!object) return;
  Fields reasoning(*object, "reasoning", body.reading());
  if (const auto effort = read_effort(reasoning, "effort")) conversation.effort = *effort;
  for (const std::string_view key : {"summary", "generate_summary"}) {
    const auto summary = reasoning.string(key);
    if (!summary) continue;
    if (*summary != "auto" && *summary != "concise" && *summary != "detailed")
      reasoning.refuse(key, "auto, concise or detailed");
    body.reading().ignore(reasoning.path(key));
  }
  reasoning.unsupported("mode", "the only mode is standard", "\"standard\"");
  const auto context = reasoning.string("context");
  if (context == "all_turns") {
    conversation.drop_old_reasoning = false;
  } else if (context && context != "auto" && context != "current_turn") {
    reasoning.refuse("context", "auto, current_turn or all_turns");
  }
}

void read_text_format(const Json& object, Reading& reading, Request& request) {
  Fields format(object, "text.format", reading);
  AnswerForm form = read_format(format, false, request.conversation.response_format);
  AnswerForm& asked = request.chat.contract.form;
  if (form.kind != AnswerForm::Kind::kText && asked.kind != AnswerForm::Kind::kText)
    format.refuse("type", "text, as another field says what the answer has to be");
  if (form.kind != AnswerForm::Kind::kText) asked = std::move(form);
  Json& echo = request.text_format;
  const std::string type = format.required_string("type");
  echo.set("type", Json::string(type));
  if (type != "json_schema") return;
  echo.set("name", Json::string(format.required_string("name")));
  echo.set("description", string_or_null(format.string("description")));
  echo.set("schema", value_or_null(format.get("schema")));
  echo.set("strict", Json::boolean(true));
}

void read_text(Fields& body, Request& request) {
  request.chat.contract.form = read_answer_form(body, request.conversation.response_format);
  const Json* object = body.object("text");
  if (!object) return;
  Fields text(*object, "text", body.reading());
  if (const Json* format = text.object("format"))
    read_text_format(*format, body.reading(), request);
  const auto verbosity = text.string("verbosity");
  if (!verbosity || *verbosity == "medium") return;
  if (*verbosity != "low" && *verbosity != "high") text.refuse("verbosity", "low, medium or high");
  body.reading().ignore("text.verbosity");
}

// The model reads every tool in one order of keys, so that clients that differ in it share prompts.
void read_tool(const Json& object, std::string where, Reading& reading, Request& request) {
  Fields tool(object, std::move(where), reading);
  const std::string type = tool.required_string("type");
  if (type != "function")
    tool.unsupported("type", "the only tools are functions, which the client runs");
  const std::string name = read_function_name(tool);
  const auto description = tool.string("description");
  const Json* parameters = tool.object("parameters");
  const bool strict = tool.boolean("strict").value_or(false);

  Json function = Json::object({{"name", Json::string(name)}});
  if (description) function.set("description", Json::string(*description));
  if (parameters) function.set("parameters", *parameters);
  request.conversation.tools.push_back({name, function.dump(), strict});
  request.tools.items().push_back(Json::object({{"type", Json::string(type)},
                                                {"name", Json::string(name)},
                                                {"description", string_or_null(description)},
                                                {"parameters", value_or_null(parameters)},
                                                {"strict", Json::boolean(strict)}}));
}

void read_tools(Fields& body, Request& request) {
  const Json* tools = body.array("tools");
  for (std::size_t i = 0; tools && i < tools->items().size() && body.reading().ok(); ++i)
    read_tool(tools->items()[i], str("tools[", i, "]"), body.reading(), request);
  request.offer_tools = read_tool_choice(body, false, request.chat.contract);
  if (!request.offer_tools) request.conversation.tools.clear();
}

// tool_choice as it was understood.
Json tool_choice(const Request& request) {
  const Contract& contract = request.chat.contract;
  if (!contract.tool.empty()) {
    return Json::object(
        {{"type", Json::string("function")}, {"name", Json::string(contract.tool)}});
  }
  if (!request.offer_tools) return Json::string("none");
  return Json::string(contract.tools == ToolUse::kRequired ? "required" : "auto");
}

void read_metadata(Fields& body, Json& metadata) {
  const Json* object = body.object("metadata");
  if (!object) return;
  for (const auto& [key, value] : object->members()) {
    if (value.is_string()) continue;
    const std::string path = str("metadata.", key);
    body.reading().refuse(path, str(path, " is ", shown(value), ", expected a string."));
  }
  metadata = *object;
}

void read_conversation(Fields& body, Conversation& conversation) {
  conversation.messages = read_responses_input(body);
  // Where old reasoning is dropped, so are old developer messages; clients mean theirs to stay.
  const auto& messages = conversation.messages;
  if (std::any_of(messages.begin(), messages.end(),
                  [](const Message& message) { return message.role == Role::kDeveloper; })) {
    conversation.drop_old_reasoning = false;
  }
}

// The members of the response object that say how the request was understood.
Json echo_of(Fields& body, Request& request) {
  const SamplingParams& sampling = request.chat.sampling;
  const std::string effort(effort_name(request.conversation.effort));
  return Json::object(
      {{"previous_response_id", Json()},
       {"instructions", string_or_null(body.string("instructions"))},
       {"tools", std::move(request.tools)},
       {"tool_choice", tool_choice(request)},
       {"parallel_tool_calls", Json::boolean(request.chat.contract.parallel_calls)},
       {"text", Json::object({{"format", std::move(request.text_format)},
                              {"verbosity", Json::string("medium")}})},
       {"reasoning", Json::object({{"effort", Json::string(effort)}, {"summary", Json()}})},
       {"temperature", real(sampling.temperature)},
       {"top_p", real(sampling.top_p)},
       {"presence_penalty", real(sampling.presence_penalty)},
       {"frequency_penalty", real(sampling.frequency_penalty)},
       {"top_logprobs", Json::integer(std::max(sampling.logprobs, 0))},
       {"max_output_tokens",
        request.max_output_tokens ? Json::integer(*request.max_output_tokens) : Json()},
       {"max_tool_calls", Json()},
       {"truncation", Json::string("disabled")},
       {"store", Json::boolean(false)},
       {"background", Json::boolean(false)},
       {"service_tier", Json::string("default")},
       {"metadata", std::move(request.metadata)},
       {"user", string_or_null(body.string("user"))},
       {"safety_identifier", string_or_null(body.string("safety_identifier"))},
       {"prompt_cache_key", string_or_null(body.string("prompt_cache_key"))}});
}

void read_body(Fields& body, Request& request) {
  request.chat.model = body.string("model").value_or("");
  refuse_state(body);
  read_formalities(body);
  refuse_constraints(body);
  read_stream(body, request);
  read_include(body, request.settings);
  read_sampling(body, request.chat.sampling);
  read_logprobs(body, request);
  if (const auto seed = read_seed(body)) {
    request.chat.sampling.seed = *seed;
    request.seeded = true;
  }
  request.chat.stop = read_stop(body);
  request.chat.guards = read_guards(body, request.chat.guards);
  request.max_output_tokens = read_token_count(body, "max_output_tokens");
  request.chat.max_tokens = request.max_output_tokens.value_or(-1);
  read_reasoning(body, request.conversation);
  read_text(body, request);
  read_tools(body, request);
  read_metadata(body, request.metadata);
  read_conversation(body, request.conversation);
  request.settings.echo = echo_of(body, request);
}

Parsed parse(const Json& body, const Defaults& defaults) {
  Reading reading;
  Request request;
  request.chat.sampling = defaults.sampling;
  request.chat.guards = defaults.guards;
  request.conversation.effort = defaults.effort;
  {
    Fields fields(body, "", reading);
    read_body(fields, request);
  }
  if (reading.refusal) return *std::move(reading.refusal);
  Call call;
  call.model = request.chat.model;
  call.stream = request.settings.stream;
  call.seeded = request.seeded;
  call.ignored = std::move(reading.ignored);
  request.chat.prompt = std::move(request.conversation);
  call.choices.push_back(std::move(request.chat));
  call.writer = [settings = std::move(request.settings)](const ReplyHead& head) {
    return make_responses_writer(settings, head);
  };
  return call;
}

}  // namespace

const Format kOpenAiResponses{"openai.responses", parse, openai_error};

}  // namespace plumb::wire
