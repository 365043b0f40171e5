// Any JSON as a request of the Responses format: a refusal that says why, or a call whose reply
// keeps the grammar of the stream and is accepted when it is sent back.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "gateway/wire/random_reply_for_tests.h"
#include "gateway/wire/responses.h"
#include "gateway/wire/responses_checker_for_tests.h"

namespace {

using plumb::Json;
using namespace plumb::wire;

void check_refusal(const Refusal& refusal) {
  PLUMB_CHECK(refusal.status == 400 && !refusal.message.empty());
  const auto body = plumb::parse_json(kOpenAiResponses.refusal_body(refusal, ""), "body");
  PLUMB_CHECK(body && body->find("error"));
}

void check_call(const Call& call) {
  PLUMB_CHECK(call.choices.size() == 1);
  const auto& conversation = std::get<plumb::Conversation>(call.choices[0].prompt);
  PLUMB_CHECK(!conversation.messages.empty());
  const plumb::Role last = conversation.messages.back().role;
  PLUMB_CHECK(last != plumb::Role::kAssistant && last != plumb::Role::kSystem);
  for (std::size_t i = 1; i < conversation.messages.size(); ++i) {
    const plumb::Role role = conversation.messages[i].role;
    PLUMB_CHECK(role != plumb::Role::kSystem);
    PLUMB_CHECK(role != plumb::Role::kAssistant || conversation.messages[i - 1].role != role);
  }
  for (const auto& tool : conversation.tools)
    PLUMB_CHECK(plumb::parse_json(tool.function_json, "tool").has_value());
}

// The response object that a client ends up with.
Json reply_to(const Call& call, std::uint64_t seed) {
  const auto writer = call.writer({"0123456789abcdef0123456789abcdef", 1, "model", "print"});
  std::string out;
  writer->start(1, out);
  for (const auto& event :
       random_reply(seed, {.tokens = call.choices[0].report_tokens, .progress = false}))
    writer->take(0, event, out);
  writer->end(out);
  if (!call.stream) {
    const auto body = plumb::parse_json(out, "reply");
    PLUMB_CHECK(body.has_value());
    return *body;
  }
  ResponsesChecker checker;
  checker.push(out);
  PLUMB_CHECK(checker.complete());
  return checker.response();
}

// The request with the reply and one more message behind its input.
Json continued(Json body, const Json& reply) {
  const auto message = [](const Json& content) {
    return Json::object({{"role", Json::string("user")}, {"content", content}});
  };
  Json input = *body.find("input");
  if (input.is_string()) input = Json::array({message(input)});
  for (const Json& item : reply.find("output")->items()) input.items().push_back(item);
  input.items().push_back(message(Json::string("Go on.")));
  body.set("input", std::move(input));
  return body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto body = plumb::parse_json(text, "input", {.max_depth = 32, .max_bytes = 1 << 20});
  if (!body) return 0;
  const Parsed parsed = kOpenAiResponses.parse(*body, {});
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
    check_refusal(*refusal);
    return 0;
  }
  const Call& call = std::get<Call>(parsed);
  check_call(call);
  const Json reply = reply_to(call, size);
  const Parsed again = kOpenAiResponses.parse(continued(*body, reply), {});
  PLUMB_CHECK(std::holds_alternative<Call>(again));
  check_call(std::get<Call>(again));
  return 0;
}
