// Arbitrary JSON as a request of OpenAI's formats: a call or a refusal that names what is wrong.
// What was accepted is answered with random events, and the reply keeps every rule that clients
// check.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "gateway/wire/interleave_for_tests.h"
#include "gateway/wire/openai_chat.h"
#include "gateway/wire/openai_chat_checker_for_tests.h"
#include "gateway/wire/openai_completions.h"
#include "gateway/wire/openai_completions_checker_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"
#include "gateway/wire/tokenize.h"

namespace {

using plumb::Json;
using namespace plumb::wire;  // NOLINT: everything here is about it

void check_refusal(const Refusal& refusal, const Format& format) {
  PLUMB_CHECK(refusal.status == 400 && !refusal.message.empty());
  const auto body = plumb::parse_json(format.refusal_body(refusal, ""), "refusal");
  PLUMB_CHECK(body && body->find("error")->members().size() == 4);
}

bool asks_for_usage(const Json& request) {
  const Json* options = request.find("stream_options");
  const Json* wanted = options ? options->find("include_usage") : nullptr;
  return wanted && wanted->as_bool() == true;
}

template <class Checker>
void check_call(const Call& call, const Json& request, bool chat, std::uint64_t seed) {
  const int choices = static_cast<int>(call.choices.size());
  PLUMB_CHECK(choices >= 1 && choices <= 128);
  const bool tokens = call.choices.front().report_tokens;
  std::vector<std::vector<plumb::ChatEvent>> answers;
  for (int i = 0; i < choices; ++i) {
    answers.push_back(random_reply(seed + static_cast<std::uint64_t>(i),
                                   {.reasoning = chat, .tools = chat, .tokens = tokens}));
  }
  const auto writer = call.writer({"0123456789abcdef", 1, call.model, ""});
  const std::string bytes = joined(written(*writer, answers, seed));
  if (!call.stream) {
    PLUMB_CHECK(plumb::parse_json(bytes, "reply").has_value());
    return;
  }
  Checker checker({choices, asks_for_usage(request), tokens});
  checker.push(bytes);
  PLUMB_CHECK(checker.complete());
}

template <class Checker>
void check_format(const Format& format, const Json& request, bool chat, std::uint64_t seed) {
  const Parsed parsed = format.parse(request, {});
  if (const auto* call = std::get_if<Call>(&parsed))
    check_call<Checker>(*call, request, chat, seed);
  else
    check_refusal(std::get<Refusal>(parsed), format);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = plumb::parse_json(text, "input", {.max_depth = 32, .max_bytes = 1 << 16});
  if (!request) return 0;
  check_format<OpenAiChatChecker>(kOpenAiChat, *request, true, size);
  check_format<OpenAiCompletionsChecker>(kOpenAiCompletions, *request, false, size);
  const auto tokenize = parse_tokenize(*request, {});
  if (const auto* refusal = std::get_if<Refusal>(&tokenize)) check_refusal(*refusal, kOpenAiChat);
  const auto detokenize = parse_detokenize(*request);
  if (const auto* refusal = std::get_if<Refusal>(&detokenize)) check_refusal(*refusal, kOpenAiChat);
  return 0;
}
