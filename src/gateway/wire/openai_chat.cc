#include "gateway/wire/openai_chat.h"

#include <string_view>
#include <utility>

#include "base/strings.h"
#include "gateway/wire/contract_fields.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/openai_chat_writer.h"
#include "gateway/wire/openai_conversation.h"
#include "gateway/wire/openai_error.h"
#include "gateway/wire/openai_fields.h"

namespace plumb::wire {
namespace {

constexpr int kMostTopLogprobs = 20;

void read_length(Fields& body, ChatRequest& request) {
  const auto old_name = read_token_count(body, "max_tokens");
  const auto new_name = read_token_count(body, "max_completion_tokens");
  if (old_name && new_name && *old_name != *new_name)
    body.refuse("max_completion_tokens", str("what max_tokens says, ", *old_name));
  request.max_tokens = new_name.value_or(old_name.value_or(-1));
}

void read_logprobs(Fields& body, ChatRequest& request) {
  const bool wanted = body.boolean("logprobs").value_or(false);
  const auto top = body.integer("top_logprobs", 0, kMostTopLogprobs);
  if (top && *top > 0 && !wanted) body.refuse("logprobs", "true, as top_logprobs is given");
  if (!wanted) return;
  request.report_tokens = true;
  request.sampling.logprobs = static_cast<int>(top.value_or(0));
}

void refuse_what_is_not_offered(Fields& body) {
  constexpr std::string_view kTextOnly = "this model reads and writes text only";
  body.unsupported("audio", kTextOnly);
  body.unsupported("modalities", kTextOnly, R"(["text"])");
  body.unsupported("prediction", "drafts of answers are not taken");
  body.unsupported("web_search_options", "nothing here searches the web");
  body.unsupported("verbosity", "the length of answers is not set so; use max_tokens",
                   R"("medium")");
  body.unsupported("include_reasoning", "reasoning is always part of the reply", "true");
  body.unsupported("best_of", "every answer is given; use n", "1");
  refuse_constraints(body);
}

Parsed parse(const Json& json, const Defaults& defaults) {
  Reading reading;
  Call call;
  ChatReplyForm form;
  {
    Fields body(json, "", reading);
    Contract contract;
    Prompt prompt = read_conversation(body, defaults, contract);
    AskedFor asked = read_asked_for(body, defaults.sampling, call);
    ChatRequest& request = asked.request;
    request.contract = std::move(contract);
    request.guards = read_guards(body, defaults.guards);
    read_length(body, request);
    read_logprobs(body, request);
    form = {asked.answers, asked.wishes.stream, asked.wishes.usage, request.report_tokens};
    read_formalities(body);
    refuse_what_is_not_offered(body);
    if (!reading.ok()) return *std::move(reading.refusal);
    add_choices(asked, std::move(prompt), call);
  }
  call.ignored = std::move(reading.ignored);
  call.writer = [form](const ReplyHead& head) { return make_chat_writer(head, form); };
  return call;
}

}  // namespace

const Format kOpenAiChat = {"openai.chat", parse, openai_error};

}  // namespace plumb::wire
