#include "apps/generate_json.h"

#include <algorithm>
#include <cmath>

#include "apps/sampling_options.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/chat_json.h"

namespace plumb {
namespace {

Error wrong(std::string_view what, std::string_view key, const Json& value,
            std::string_view expected) {
  return {Code::kInvalid,
          str(what, ": \"", key, "\" is ", value.dump(), ", expected ", expected, ".")};
}

// The fields of a line that make its prompt.
struct Asked {
  const Json* prompt = nullptr;
  const Json* system = nullptr;
  std::vector<Json::Member> conversation;  // messages, tools, response_format
  std::optional<Effort> effort;
  std::optional<bool> raw;
};

// Errors do not say where: the caller knows.
Result<Prompt> make_prompt(const Asked& asked, const ChatRequest& defaults) {
  const bool messages = std::any_of(asked.conversation.begin(), asked.conversation.end(),
                                    [](const auto& member) { return member.first == "messages"; });
  if (messages == (asked.prompt != nullptr)) {
    return Error{Code::kInvalid, str("expected either \"prompt\" or \"messages\", found ",
                                     messages ? "both." : "neither.")};
  }
  const auto* base = std::get_if<Conversation>(&defaults.prompt);
  const Effort effort = asked.effort.value_or(base ? base->effort : Effort::kNone);
  if (messages) {
    PLUMB_TRY(conversation, conversation_from_json(Json::object(asked.conversation), effort));
    return Prompt(std::move(conversation));
  }
  if (asked.raw.value_or(base == nullptr)) return Prompt(RawText{asked.prompt->text()});
  std::string system = asked.system ? asked.system->text() : std::string();
  if (!asked.system && base && !base->messages.empty()) system = base->messages.front().text();
  Conversation conversation = ask(asked.prompt->text(), system, effort);
  if (!asked.conversation.empty()) {  // tools or a response format beside a plain prompt
    std::vector<Json::Member> members = asked.conversation;
    members.emplace_back("messages", *conversation_to_json(conversation).find("messages"));
    PLUMB_TRY(whole, conversation_from_json(Json::object(std::move(members)), effort));
    conversation = std::move(whole);
  }
  return Prompt(std::move(conversation));
}

Status read_stops(const Json& value, std::string_view what, std::vector<std::string>& out) {
  const std::vector<Json> one = {value};
  out.clear();
  for (const Json& item : value.is_array() ? value.items() : one) {
    if (!item.is_string()) return wrong(what, "stop", value, "a string or an array of strings");
    out.push_back(item.text());
  }
  return {};
}

// One field that is no sampling field. false: it is carried along.
Result<bool> read_field(const std::string& key, const Json& value, std::string_view what,
                        Asked& asked, ChatRequest& chat) {
  if (key == "prompt" || key == "system") {
    if (!value.is_string()) return wrong(what, key, value, "a string");
    (key == "prompt" ? asked.prompt : asked.system) = &value;
  } else if (key == "messages" || key == "tools" || key == "response_format" ||
             key == "drop_thinking") {
    asked.conversation.emplace_back(key, value);
  } else if (key == "think" || key == "thinking" || key == "reasoning_effort") {
    asked.effort = value.text() == "chat" ? Effort::kNone : effort_from_name(value.text());
    if (!value.is_string() || !asked.effort) return wrong(what, key, value, "none, high or max");
  } else if (key == "raw") {
    asked.raw = value.as_bool();
    if (!asked.raw) return wrong(what, key, value, "true or false");
  } else if (key == "max_tokens") {
    const auto number = value.as_int();
    if (!number || *number < 1 || *number > (1 << 30))
      return wrong(what, key, value, "a positive number of tokens");
    chat.max_tokens = static_cast<int>(*number);
  } else if (key == "stop") {
    PLUMB_TRY_STATUS(read_stops(value, what, chat.stop));
  } else {
    return false;
  }
  return true;
}

double rounded(double value) { return std::round(value * 1000) / 1000; }
double per_second(int tokens, double ms) { return ms > 0 ? rounded(tokens * 1000.0 / ms) : 0; }

Json usage_json(const Usage& u) {
  return Json::object({{"prompt_tokens", Json::integer(u.prompt)},
                       {"cached_tokens", Json::integer(u.cached)},
                       {"completion_tokens", Json::integer(u.completion)},
                       {"reasoning_tokens", Json::integer(u.reasoning)},
                       {"drafted_tokens", Json::integer(u.drafted)},
                       {"accepted_tokens", Json::integer(u.accepted)}});
}

Json timings_json(const Usage& u) {
  return Json::object(
      {{"queue_ms", Json::real(rounded(u.queue_ms))},
       {"prompt_ms", Json::real(rounded(u.prompt_ms))},
       {"decode_ms", Json::real(rounded(u.decode_ms))},
       {"prompt_tokens_per_s", Json::real(per_second(u.prompt - u.cached, u.prompt_ms))},
       // The first token belongs to the prompt's time.
       {"decode_tokens_per_s", Json::real(per_second(u.completion - 1, u.decode_ms))}});
}

Json token_json(Token token, float logprob, const Tokenizer& tokenizer) {
  return Json::object({{"token", Json::integer(token)},
                       {"text", Json::string(replace_invalid_utf8(tokenizer.bytes(token)))},
                       {"logprob", Json::real(static_cast<double>(logprob))}});
}

Json calls_json(const std::vector<ToolCall>& calls) {
  std::vector<Json> items;
  for (const ToolCall& call : calls) {
    items.push_back(Json::object({{"id", Json::string(call.id)},
                                  {"name", Json::string(call.name)},
                                  {"arguments", Json::string(call.arguments)}}));
  }
  return Json::array(std::move(items));
}

}  // namespace

Conversation ask(std::string_view question, const std::string& system, Effort effort) {
  Conversation conversation;
  conversation.effort = effort;
  if (!system.empty()) conversation.messages.push_back(Message::of(Role::kSystem, system));
  conversation.messages.push_back(Message::of(Role::kUser, std::string(question)));
  return conversation;
}

Result<LineRequest> parse_line_request(std::string_view line, std::string_view what,
                                       const ChatRequest& defaults) {
  PLUMB_TRY(json, parse_json(line, what));
  if (json.kind() != Json::Kind::kObject) {
    return Error{Code::kInvalid,
                 str(what, " is ", json.dump().substr(0, 40), ", expected a JSON object.")};
  }
  LineRequest request;
  request.chat = defaults;
  Asked asked;
  for (const auto& [key, value] : json.members()) {
    const Result<bool> sampling = read_sampling_field(key, value, request.chat.sampling);
    if (!sampling) return Error{Code::kInvalid, str(what, ": ", sampling.error().message)};
    if (*sampling) continue;
    PLUMB_TRY(known, read_field(key, value, what, asked, request.chat));
    if (!known) request.carried.emplace_back(key, value);
  }
  if (request.chat.sampling.logprobs >= 0) request.chat.report_tokens = true;
  auto prompt = make_prompt(asked, defaults);
  if (!prompt) return Error{prompt.error().code, str(what, ": ", prompt.error().message)};
  request.chat.prompt = std::move(*prompt);
  const auto* conversation = std::get_if<Conversation>(&request.chat.prompt);
  if (conversation && conversation->response_format)
    request.chat.contract.form = {AnswerForm::Kind::kSchema, *conversation->response_format, {}};
  return request;
}

Json reply_json(const ChatReply& reply) {
  Json out = Json::object();
  out.set("text", Json::string(reply.message.text()));
  if (!reply.message.reasoning.empty()) out.set("reasoning", Json::string(reply.message.reasoning));
  if (!reply.message.tool_calls.empty())
    out.set("tool_calls", calls_json(reply.message.tool_calls));
  const bool calls =
      reply.finish.reason == FinishReason::kStop && !reply.message.tool_calls.empty();
  out.set("finish_reason",
          Json::string(calls ? "tool_calls" : std::string(to_string(reply.finish.reason))));
  if (reply.finish.stop) out.set("stop", Json::string(*reply.finish.stop));
  if (reply.finish.lost_markup) out.set("lost_markup", Json::boolean(true));
  out.set("usage", usage_json(reply.finish.usage));
  out.set("timings", timings_json(reply.finish.usage));
  return out;
}

void add_tokens(Json& out, const std::vector<TokenInfo>& tokens, bool logprobs,
                const Tokenizer& tokenizer) {
  std::vector<Json> ids, details;
  for (const TokenInfo& info : tokens) {
    ids.push_back(Json::integer(info.token));
    if (!logprobs) continue;
    Json detail = token_json(info.token, info.logprob, tokenizer);
    std::vector<Json> top;
    for (const TokenOption& other : info.top)
      top.push_back(token_json(other.token, other.logprob, tokenizer));
    if (!top.empty()) detail.set("top", Json::array(std::move(top)));
    details.push_back(std::move(detail));
  }
  out.set("tokens", Json::array(std::move(ids)));
  if (logprobs) out.set("logprobs", Json::array(std::move(details)));
}

Json error_json(const Error& error) {
  return Json::object({{"error", Json::object({{"message", Json::string(error.message)}})}});
}

}  // namespace plumb
