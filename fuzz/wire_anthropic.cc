// Any JSON as a Messages request: refused by name, or a call whose reply a strict client accepts,
// and whose prompt is the one that would be counted.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "base/json.h"
#include "gateway/wire/anthropic.h"
#include "gateway/wire/anthropic_checker_for_tests.h"
#include "gateway/wire/anthropic_count.h"
#include "gateway/wire/random_reply_for_tests.h"

namespace {

using namespace plumb;
using namespace plumb::wire;

void check_refusal(const Refusal& refusal) {
  PLUMB_CHECK(refusal.status == 400 && !refusal.message.empty());
  const auto body = parse_json(kAnthropicMessages.refusal_body(refusal, "req_1"), "refusal");
  PLUMB_CHECK(body.has_value() && body->find("error"));
}

void check_turns(const Conversation& conversation) {
  for (const Message& message : conversation.messages) {
    const bool last = &message == &conversation.messages.back();
    const bool assistant = message.role == Role::kAssistant;
    PLUMB_CHECK(message.wo_eos == (last && assistant));
    PLUMB_CHECK(assistant || (message.reasoning.empty() && message.tool_calls.empty()));
    for (const ToolCall& call : message.tool_calls) {
      const auto arguments = parse_json(call.arguments, "arguments");
      PLUMB_CHECK(!call.name.empty() && arguments.has_value() && arguments->is_object());
    }
  }
}

void check_reply(const Call& call, std::uint64_t seed) {
  const auto events = random_reply(seed, {.progress = false});
  const auto writer = call.writer({"0123456789abcdef0123456789abcdef", 0, call.model, ""});
  std::string out;
  writer->start(std::get<Finished>(events.back()).usage.prompt, out);
  for (const ChatEvent& event : events) writer->take(0, event, out);
  writer->end(out);
  if (!call.stream) {
    const auto body = parse_json(out, "reply");
    PLUMB_CHECK(body.has_value() && body->find("content"));
    return;
  }
  AnthropicChecker checker;
  checker.push(out);
  PLUMB_CHECK(checker.violations().empty() && checker.complete());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto body = parse_json(text, "body");
  if (!body) return 0;
  const Parsed parsed = kAnthropicMessages.parse(*body, {});
  const auto count = parse_anthropic_count(*body, {});
  if (const auto* refusal = std::get_if<Refusal>(&count)) check_refusal(*refusal);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
    check_refusal(*refusal);
    return 0;
  }
  const Call& call = std::get<Call>(parsed);
  PLUMB_CHECK(call.choices.size() == 1 && call.choices[0].max_tokens >= 0);
  const auto& conversation = std::get<Conversation>(call.choices[0].prompt);
  check_turns(conversation);
  PLUMB_CHECK(std::get<Conversation>(std::get<CountCall>(count).prompt) == conversation);
  check_reply(call, size * 31 + (size > 0 ? data[size - 1] : 0u));
  return 0;
}
