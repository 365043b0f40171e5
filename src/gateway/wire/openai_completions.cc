#include "gateway/wire/openai_completions.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "gateway/wire/contract_fields.h"
#include "gateway/wire/fields.h"
#include "gateway/wire/openai_completions_writer.h"
#include "gateway/wire/openai_error.h"
#include "gateway/wire/openai_fields.h"

namespace plumb::wire {
namespace {

constexpr int kUsualMaxTokens = 16;  // OpenAI's
constexpr int kMostLogprobs = 5;
constexpr std::size_t kMostAnswers = 128;  // to all prompts together
constexpr std::string_view kPromptForms =
    "a string, an array of strings, an array of token ids or an array of such arrays";

void add_ids(const Json& array, const std::string& where, Reading& reading,
             std::vector<Prompt>& prompts) {
  std::vector<Token> ids = read_token_ids(array, where, reading);
  if (ids.empty())
    reading.refuse(where, str(where, " is [], expected the id of one token at least."));
  prompts.emplace_back(std::move(ids));
}

std::vector<Prompt> read_prompts(Fields& body) {
  std::vector<Prompt> prompts;
  const Json* value = body.get("prompt");
  if (value && value->is_string()) return {RawText{value->text()}};
  if (!value || !value->is_array() || value->items().empty()) {
    body.refuse("prompt", kPromptForms);
    return {};
  }
  const auto& items = value->items();
  if (items.front().is_number()) {
    add_ids(*value, body.path("prompt"), body.reading(), prompts);
    return prompts;
  }
  for (std::size_t i = 0; i < items.size() && body.reading().ok(); ++i) {
    const std::string path = str(body.path("prompt"), "[", i, "]");
    if (items[i].kind() != items.front().kind() || !(items[i].is_string() || items[i].is_array())) {
      body.reading().refuse(
          path, str(path, " is ", shown(items[i]), ", expected all of prompt to be strings, or ",
                    "token ids, or arrays of them."));
    } else if (items[i].is_string()) {
      prompts.emplace_back(RawText{items[i].text()});
    } else {
      add_ids(items[i], path, body.reading(), prompts);
    }
  }
  return prompts;
}

void read_logprobs(Fields& body, ChatRequest& request) {
  const auto count = body.integer("logprobs", 0, kMostLogprobs);
  if (!count) return;
  request.report_tokens = true;
  request.sampling.logprobs = static_cast<int>(*count);
}

// The prompts' text, if it is to stand before the answers.
std::vector<std::string> read_echo(Fields& body, const std::vector<Prompt>& prompts,
                                   bool logprobs) {
  if (!body.boolean("echo").value_or(false)) return {};
  std::vector<std::string> texts;
  for (const Prompt& prompt : prompts) {
    if (const auto* raw = std::get_if<RawText>(&prompt)) texts.push_back(raw->text);
  }
  if (texts.size() != prompts.size())
    body.unsupported("echo", "only prompts that are text can be given back");
  if (logprobs) body.unsupported("echo", "prompts are not scored; leave out logprobs");
  return texts;
}

void refuse_what_is_not_offered(Fields& body, int answers) {
  body.unsupported("suffix", "the model writes on and does not fill gaps", R"("")");
  body.unsupported("best_of", "every answer is given; use n", str(answers));
  body.unsupported("tools", "raw text has none; use chat completions");
  refuse_constraints(body);
}

void check_number_of_answers(Fields& body, std::size_t prompts, int answers) {
  const std::size_t all = prompts * static_cast<std::size_t>(answers);
  if (all <= kMostAnswers) return;
  body.reading().refuse(body.path("prompt"),
                        str("prompt has ", prompts, " entries with ", answers,
                            " answers each, expected at most ", kMostAnswers, " answers."));
}

Parsed parse(const Json& json, const Defaults& defaults) {
  Reading reading;
  Call call;
  CompletionReplyForm form;
  {
    Fields body(json, "", reading);
    AskedFor asked = read_asked_for(body, defaults.sampling, call);
    ChatRequest& request = asked.request;
    std::vector<Prompt> prompts = read_prompts(body);
    std::optional<std::string> schema_text;  // raw prompts are left as they are
    request.contract.form = read_answer_form(body, schema_text);
    request.guards = read_guards(body, defaults.guards);
    request.max_tokens = read_token_count(body, "max_tokens", 0).value_or(kUsualMaxTokens);
    read_logprobs(body, request);
    form = {static_cast<int>(prompts.size()),
            asked.answers,
            asked.wishes.stream,
            asked.wishes.usage,
            request.report_tokens,
            read_echo(body, prompts, request.report_tokens)};
    check_number_of_answers(body, prompts.size(), form.answers);
    read_formalities(body);
    refuse_what_is_not_offered(body, form.answers);
    if (!reading.ok()) return *std::move(reading.refusal);
    for (Prompt& prompt : prompts) add_choices(asked, std::move(prompt), call);
  }
  call.ignored = std::move(reading.ignored);
  call.writer = [form = std::move(form)](const ReplyHead& head) {
    return make_completion_writer(head, form);
  };
  return call;
}

}  // namespace

const Format kOpenAiCompletions = {"openai.completions", parse, openai_error};

}  // namespace plumb::wire
