// A strict client of Completions streams.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "gateway/wire/openai_stream_checker_for_tests.h"

namespace plumb::wire {

// Puts the answers together again. Beside the stream's rules: no chunk without text but the last of
// a choice, which has the finish_reason; nothing after it; the four lists of log probabilities are
// of one length, and offsets never fall.
class OpenAiCompletionsChecker final : public OpenAiStreamChecker {
 public:
  struct Choice {
    std::string text;
    std::vector<std::string> tokens;
    std::vector<double> logprobs;
    std::vector<Json> tops;
    std::vector<std::int64_t> offsets;
    std::string finish_reason;
  };

  explicit OpenAiCompletionsChecker(const StreamExpectation& expectation)
      : OpenAiStreamChecker("cmpl-", "text_completion", expectation),
        choices_(static_cast<std::size_t>(expectation.choices)) {}

  const std::vector<Choice>& choices() const { return choices_; }

 private:
  bool all_finished() const override {
    return std::all_of(choices_.begin(), choices_.end(),
                       [](const Choice& choice) { return !choice.finish_reason.empty(); });
  }

  void take_choice(const Json& json) override {
    if (!check_keys(json, {"index", "text", "logprobs", "finish_reason"}, "A choice")) return;
    const auto index = static_cast<std::size_t>(count_of(json, "index"));
    if (!check(index < choices_.size(), "There is no such choice.")) return;
    Choice& choice = choices_[index];
    check(choice.finish_reason.empty(), "A chunk follows the finish_reason.");
    const std::string text = text_of(json, "text");
    choice.text += text;
    take_tokens(*json.find("logprobs"), choice);
    const Json& finish = *json.find("finish_reason");
    check(finish.is_null() != text.empty(), "A chunk has both of text and an end, or neither.");
    if (finish.is_null()) return;
    choice.finish_reason = finish.text();
    check(finish.text() == "stop" || finish.text() == "length",
          "finish_reason is " + finish.dump());
  }

  void take_tokens(const Json& logprobs, Choice& choice) {
    if (logprobs.is_null()) return;
    check(expected_.tokens, "Log probabilities come unasked.");
    if (!check_keys(logprobs, {"tokens", "token_logprobs", "top_logprobs", "text_offset"},
                    "logprobs")) {
      return;
    }
    const auto& tokens = logprobs.find("tokens")->items();
    check(!tokens.empty(), "logprobs has no tokens.");
    for (const auto& [name, list] : logprobs.members()) {
      if (!check(list.items().size() == tokens.size(), name + " has another length.")) return;
    }
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      choice.tokens.push_back(tokens[i].text());
      choice.logprobs.push_back(
          logprobs.find("token_logprobs")->items()[i].as_double().value_or(1));
      check(choice.logprobs.back() <= 0, "A log probability is no number of at most 0.");
      choice.tops.push_back(logprobs.find("top_logprobs")->items()[i]);
      check(choice.tops.back().find(tokens[i].text()) != nullptr, "top_logprobs lacks the token.");
      const auto offset = logprobs.find("text_offset")->items()[i].as_int().value_or(-1);
      check(offset >= (choice.offsets.empty() ? 0 : choice.offsets.back()), "An offset falls.");
      choice.offsets.push_back(offset);
    }
  }

  std::vector<Choice> choices_;
};

}  // namespace plumb::wire
