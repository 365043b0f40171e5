// A strict client of Chat Completions streams.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "gateway/wire/openai_stream_checker_for_tests.h"
#include "text/chat.h"

namespace plumb::wire {

// Puts the answers together again. Every rule of the stream is checked, and of the answers: role
// first and once; one piece of content, reasoning or one call in a chunk, never an empty one; id,
// type and name of a call once; a finish_reason that fits what came; nothing after it.
class OpenAiChatChecker final : public OpenAiStreamChecker {
 public:
  struct Choice {
    bool begun = false;
    Message message;  // calls as far as they came
    std::vector<Json> tokens;
    std::string finish_reason;
  };

  explicit OpenAiChatChecker(const StreamExpectation& expectation)
      : OpenAiStreamChecker("chatcmpl-", "chat.completion.chunk", expectation),
        choices_(static_cast<std::size_t>(expectation.choices)) {}

  const std::vector<Choice>& choices() const { return choices_; }

 private:
  bool all_finished() const override {
    return std::all_of(choices_.begin(), choices_.end(),
                       [](const Choice& choice) { return !choice.finish_reason.empty(); });
  }

  void take_choice(const Json& json) override {
    if (!check_keys(json, {"index", "delta", "logprobs", "finish_reason"}, "A choice")) return;
    const auto index = static_cast<std::size_t>(count_of(json, "index"));
    if (!check(index < choices_.size(), "There is no such choice.")) return;
    Choice& choice = choices_[index];
    check(choice.finish_reason.empty(), "A chunk follows the finish_reason.");
    take_tokens(*json.find("logprobs"), choice);
    const Json& finish = *json.find("finish_reason");
    const Json& delta = *json.find("delta");
    if (!check(delta.is_object(), "A delta is no object.")) return;
    if (!choice.begun) {
      choice.begun = true;
      choice.message.role = Role::kAssistant;
      check(delta.dump() == R"({"role":"assistant","content":""})",
            "The first delta is " + delta.dump());
      check(finish.is_null(), "The first delta has a finish_reason.");
    } else if (finish.is_null()) {
      take_delta(delta, choice);
    } else {
      check(delta.members().empty(), "The last delta is " + delta.dump());
      take_finish(finish, choice);
    }
  }

  void take_delta(const Json& delta, Choice& choice) {
    if (!check(delta.members().size() == 1, "A delta is " + delta.dump())) return;
    const auto& [name, value] = delta.members().front();
    if (name == "tool_calls") {
      if (check(value.is_array() && value.items().size() == 1, "tool_calls is " + value.dump()))
        take_call(value.items().front(), choice.message.tool_calls);
      return;
    }
    const std::string text = text_of(delta, name);
    check(!text.empty(), "A piece of text is empty.");
    if (name == "content") {
      if (choice.message.content.empty()) choice.message.content.emplace_back();
      choice.message.content.back().text += text;
    } else if (check(name == "reasoning_content", "A delta has the key " + name)) {
      choice.message.reasoning += text;
    }
  }

  void take_call(const Json& json, std::vector<ToolCall>& calls) {
    const auto index = json.find("index") ? static_cast<std::size_t>(count_of(json, "index")) : 0;
    const bool first = index == calls.size();
    if (!check(index <= calls.size(), "A call comes out of order.")) return;
    if (!check_keys(json,
                    first ? Names{"index", "id", "type", "function"} : Names{"index", "function"},
                    "A call")) {
      return;
    }
    const Json& function = *json.find("function");
    if (!check_keys(function, first ? Names{"name", "arguments"} : Names{"arguments"},
                    "A call's function")) {
      return;
    }
    const std::string arguments = text_of(function, "arguments");
    if (!first) {
      check(!arguments.empty(), "A piece of a call is empty.");
      calls[index].arguments += arguments;
      return;
    }
    ToolCall call{text_of(json, "id"), text_of(function, "name"), arguments};
    check(text_of(json, "type") == "function", "A call is no function.");
    check(!call.id.empty() && !call.name.empty(), "A call has no id or no name.");
    calls.push_back(std::move(call));
  }

  void take_finish(const Json& finish, Choice& choice) {
    static const std::set<std::string> kReasons = {"stop", "length", "tool_calls"};
    choice.finish_reason = finish.is_string() ? finish.text() : finish.dump();
    check(kReasons.contains(choice.finish_reason), "finish_reason is " + choice.finish_reason);
    const auto& calls = choice.message.tool_calls;
    if (choice.finish_reason == "stop") check(calls.empty(), "stop is said after calls.");
    if (choice.finish_reason != "tool_calls") return;
    check(!calls.empty(), "tool_calls is said without any.");
    for (const ToolCall& call : calls) {
      const auto arguments = parse_json(call.arguments, "arguments");
      check(arguments && arguments->is_object(), "The arguments are " + call.arguments);
    }
  }

  void take_tokens(const Json& logprobs, Choice& choice) {
    if (logprobs.is_null()) return;
    check(expected_.tokens, "Log probabilities come unasked.");
    if (!check_keys(logprobs, {"content", "refusal"}, "logprobs")) return;
    check(logprobs.find("refusal")->is_null(), "logprobs has a refusal.");
    const Json& content = *logprobs.find("content");
    check(content.is_array() && !content.items().empty(), "logprobs has no tokens.");
    for (const Json& token : content.items()) {
      if (!check_keys(token, {"token", "logprob", "bytes", "top_logprobs"}, "A token")) continue;
      check_token(token);
      for (const Json& option : token.find("top_logprobs")->items()) {
        if (check_keys(option, {"token", "logprob", "bytes"}, "A token of top_logprobs"))
          check_token(option);
      }
      choice.tokens.push_back(token);
    }
  }

  void check_token(const Json& token) {
    std::string bytes;
    for (const Json& byte : token.find("bytes")->items()) {
      const auto value = byte.as_int().value_or(-1);
      check(value >= 0 && value <= 255, "A byte is " + byte.dump());
      bytes += static_cast<char>(value);
    }
    check(text_of(token, "token") == replace_invalid_utf8(bytes),
          "A token differs from its bytes.");
    const auto logprob = token.find("logprob")->as_double();
    check(logprob && *logprob <= 0, "A log probability is no number of at most 0.");
  }

  std::vector<Choice> choices_;
};

}  // namespace plumb::wire
