// What a strict client of OpenAI's streams checks, whatever the choices hold.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "gateway/wire/sse_reader_for_tests.h"

namespace plumb::wire {

struct StreamExpectation {
  int choices = 1;
  bool usage = false;
  bool tokens = false;  // log probabilities
};

// Takes a stream's bytes in any pieces and notes every rule that they break.
class OpenAiStreamChecker {
 public:
  virtual ~OpenAiStreamChecker() = default;

  void push(std::string_view bytes) {
    for (const SseEvent& event : reader_.push(bytes)) {
      if (!event.name.empty()) violation("An event has the name " + event.name + ".");
      take(event.data);
    }
    if (!reader_.malformed().empty()) violation("A line has no known field.");
  }

  // The stream is all there: its end came, nothing after it, and no rule was broken.
  bool complete() const { return done_ && violations_.empty() && !reader_.inside_event(); }
  const std::vector<std::string>& violations() const { return violations_; }
  const std::optional<Json>& usage() const { return usage_; }  // of the usage chunk
  const std::optional<Json>& error() const { return error_; }  // the object inside of "error"
  const std::string& id() const { return id_; }
  const std::string& model() const { return model_; }
  const std::vector<std::string>& comments() const { return reader_.comments(); }

 protected:
  using Names = std::vector<std::string>;

  OpenAiStreamChecker(std::string id_prefix, std::string object,
                      const StreamExpectation& expectation)
      : expected_(expectation), id_prefix_(std::move(id_prefix)), object_(std::move(object)) {}

  virtual void take_choice(const Json& choice) = 0;
  virtual bool all_finished() const = 0;

  void violation(std::string what) { violations_.push_back(std::move(what)); }
  bool check(bool right, std::string_view what) {
    if (!right) violation(std::string(what));
    return right;
  }
  // The object has these keys and no others.
  bool check_keys(const Json& object, Names names, std::string_view what) {
    if (!check(object.is_object(), str(what, " is no object."))) return false;
    Names found;
    for (const auto& [name, value] : object.members()) found.push_back(name);
    std::sort(found.begin(), found.end());
    std::sort(names.begin(), names.end());
    return check(found == names, str(what, " has other keys than it should: ", object.dump()));
  }
  std::string text_of(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    if (!check(value && value->is_string(), str(key, " is no string."))) return {};
    return value->text();
  }
  std::int64_t count_of(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    const std::int64_t count = value ? value->as_int().value_or(-1) : -1;
    return check(count >= 0, str(key, " is no count.")) ? count : 0;
  }

  const StreamExpectation expected_;

 private:
  void take(const std::string& data) {
    if (!check(!done_ && !error_, "Something follows the end: " + data)) return;
    if (data == "[DONE]") {
      done_ = true;
      check(all_finished(), "[DONE] comes before every choice has finished.");
      check(usage_.has_value() == expected_.usage, "[DONE] comes without the usage.");
      return;
    }
    const auto json = parse_json(data, "chunk");
    if (!check(json.has_value(), "A chunk is no JSON: " + data)) return;
    if (json->find("error"))
      take_error(*json);
    else
      take_chunk(*json);
  }

  void take_error(const Json& json) {
    check_keys(json, {"error"}, "The error event");
    error_ = *json.find("error");
    check_keys(*error_, {"message", "type", "param", "code"}, "The error");
    check(!text_of(*error_, "message").empty(), "The error has no message.");
    check(!text_of(*error_, "type").empty(), "The error has no type.");
  }

  void take_chunk(const Json& chunk) {
    Names names = {"id", "object", "created", "model", "system_fingerprint", "choices"};
    if (expected_.usage) names.emplace_back("usage");
    if (!check_keys(chunk, names, "A chunk")) return;
    check(!usage_, "A chunk follows the usage.");
    take_head(chunk);
    const Json& choices = *chunk.find("choices");
    if (!check(choices.is_array(), "choices is no array.")) return;
    if (choices.items().empty()) {
      if (check(expected_.usage, "A chunk has no choice.")) take_usage(*chunk.find("usage"));
      return;
    }
    if (expected_.usage) check(chunk.find("usage")->is_null(), "Usage comes before its time.");
    if (check(choices.items().size() == 1, "A chunk has several choices."))
      take_choice(choices.items().front());
  }

  void take_head(const Json& chunk) {
    const std::string head =
        str(text_of(chunk, "id"), " ", count_of(chunk, "created"), " ", text_of(chunk, "model"),
            " ", chunk.find("system_fingerprint")->dump());
    if (head_.empty()) {
      head_ = head;
      id_ = text_of(chunk, "id");
      model_ = text_of(chunk, "model");
    }
    check(head == head_, "The head changes to " + head);
    check(id_.starts_with(id_prefix_) && id_.size() > id_prefix_.size(), "The id is " + id_);
    check(text_of(chunk, "object") == object_, "The object is " + text_of(chunk, "object"));
  }

  void take_usage(const Json& usage) {
    check(all_finished(), "The usage comes before every choice has finished.");
    usage_ = usage;
    if (!check_keys(usage,
                    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
                     "completion_tokens_details"},
                    "usage")) {
      return;
    }
    const std::int64_t prompt = count_of(usage, "prompt_tokens");
    const std::int64_t completion = count_of(usage, "completion_tokens");
    check(count_of(usage, "total_tokens") == prompt + completion, "total_tokens is no sum.");
    const Json& prompts = *usage.find("prompt_tokens_details");
    if (check_keys(prompts, {"cached_tokens"}, "prompt_tokens_details"))
      check(count_of(prompts, "cached_tokens") <= prompt, "More is cached than there is.");
    const Json& completions = *usage.find("completion_tokens_details");
    if (check_keys(completions, {"reasoning_tokens"}, "completion_tokens_details")) {
      check(count_of(completions, "reasoning_tokens") <= completion,
            "More is reasoning than there is.");
    }
  }

  std::string id_prefix_, object_;
  SseReader reader_;
  std::vector<std::string> violations_;
  std::string head_, id_, model_;
  std::optional<Json> usage_, error_;
  bool done_ = false;
};

}  // namespace plumb::wire
