// Reads a Messages stream as a strict client does: every event in its place, every key expected.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "gateway/wire/anthropic_signature.h"
#include "gateway/wire/sse_reader_for_tests.h"
#include "text/chat.h"

namespace plumb::wire {

// Takes bytes in any pieces and notes what a client could not accept. Assembles the message.
class AnthropicChecker {
 public:
  void push(std::string_view bytes) {
    for (const SseEvent& event : reader_.push(bytes)) take(event);
    if (!reader_.malformed().empty()) violation("a line of no known field");
  }

  // The message has come whole: only then may a client rely on it.
  bool complete() const { return stage_ == Stage::kStopped; }
  bool failed() const { return stage_ == Stage::kFailed; }
  const std::vector<std::string>& violations() const { return violations_; }

  // As a client assembles it; calls whose input is not JSON are left out.
  const Json& message() const { return message_; }
  const Json& error() const { return error_; }
  // The same as a turn, with the calls that were cut off.
  const Message& turn() const { return turn_; }
  const std::vector<int>& cut_calls() const { return cut_calls_; }

 private:
  enum class Stage {
    kStart,
    kBetween,
    kThinking,
    kSigned,
    kText,
    kCall,
    kEnding,
    kStopped,
    kFailed
  };

  void violation(const std::string& what) { violations_.push_back(what); }
  void expect(bool condition, const std::string& what) {
    if (!condition) violation(what);
  }
  static bool has_keys(const Json& object, std::initializer_list<std::string_view> keys) {
    return std::equal(
        object.members().begin(), object.members().end(), keys.begin(), keys.end(),
        [](const Json::Member& member, std::string_view key) { return member.first == key; });
  }
  static std::string text_at(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value && value->is_string() ? value->text() : "(no text)";
  }
  static std::int64_t number_at(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value && value->is_number() ? value->as_int().value_or(-1) : -1;
  }

  void take(const SseEvent& event) {
    const Result<Json> data = parse_json(event.data, "event");
    if (!data || !data->is_object()) return violation("data is not an object: " + event.data);
    const std::string type = text_at(*data, "type");
    expect(type == event.name, str("the event ", event.name, " has the type ", type));
    expect(!complete() && !failed(), type + " after the end");
    if (type == "message_start") return start(*data);
    expect(stage_ != Stage::kStart, type + " before message_start");
    if (type == "ping") return expect(has_keys(*data, {"type"}), "keys of ping");
    if (type == "error") return fail(*data);
    if (type == "content_block_start") return start_block(*data);
    if (type == "content_block_delta") return take_delta(*data);
    if (type == "content_block_stop") return stop_block(*data);
    if (type == "message_delta") return take_message_delta(*data);
    if (type == "message_stop") return stop(*data);
    violation("an event of the unknown type " + type);
  }

  void start(const Json& data) {
    expect(stage_ == Stage::kStart, "a second message_start");
    stage_ = Stage::kBetween;
    const Json* message = data.find("message");
    if (!has_keys(data, {"type", "message"}) || !message) return violation("keys of message_start");
    expect(has_keys(*message, {"id", "type", "role", "model", "content", "stop_reason",
                               "stop_sequence", "usage"}),
           "keys of the message");
    message_ = *message;
    expect(text_at(*message, "id").starts_with("msg_"), "id of the message");
    expect(text_at(*message, "type") == "message", "type of the message");
    expect(text_at(*message, "role") == "assistant", "role of the message");
    expect(message->find("content")->is_array() && message->find("content")->items().empty(),
           "content at the start");
    expect(message->find("stop_reason")->is_null(), "stop_reason at the start");
    check_usage(*message->find("usage"));
    expect(number_at(*message->find("usage"), "output_tokens") == 0, "output at the start");
    input_ = number_at(*message->find("usage"), "input_tokens");
  }

  void check_usage(const Json& usage) {
    for (const char* key : {"input_tokens", "cache_creation_input_tokens",
                            "cache_read_input_tokens", "output_tokens"}) {
      expect(number_at(usage, key) >= 0, std::string("usage.") + key);
    }
    const Json* details = usage.find("output_tokens_details");
    expect(details && number_at(*details, "thinking_tokens") <= number_at(usage, "output_tokens"),
           "usage.output_tokens_details");
  }

  void fail(const Json& data) {
    expect(has_keys(data, {"type", "error"}), "keys of error");
    error_ = data;
    stage_ = Stage::kFailed;
  }

  void start_block(const Json& data) {
    expect(stage_ == Stage::kBetween, "content_block_start inside a block or after the last");
    expect(has_keys(data, {"type", "index", "content_block"}), "keys of content_block_start");
    expect(number_at(data, "index") == ++index_, "index of content_block_start");
    text_.clear();
    signature_.clear();
    const Json* block = data.find("content_block");
    if (!block) return;
    block_ = *block;
    const std::string type = text_at(block_, "type");
    if (type == "text") {
      stage_ = Stage::kText;
      expect(block_.dump() == R"({"type":"text","text":""})", "a text block at its start");
    } else if (type == "thinking") {
      stage_ = Stage::kThinking;
      expect(block_.dump() == R"({"type":"thinking","thinking":"","signature":""})",
             "a thinking block at its start");
    } else if (type == "tool_use") {
      stage_ = Stage::kCall;
      expect(has_keys(block_, {"type", "id", "name", "input"}), "keys of tool_use");
      expect(!text_at(block_, "id").empty() && !text_at(block_, "name").empty(), "id and name");
      const Json* input = block_.find("input");
      expect(input && input->dump() == "{}", "input of tool_use at its start");
    } else {
      violation("a block of the unknown type " + type);
    }
  }

  void take_delta(const Json& data) {
    expect(has_keys(data, {"type", "index", "delta"}), "keys of content_block_delta");
    expect(number_at(data, "index") == index_, "index of content_block_delta");
    const Json* delta = data.find("delta");
    if (!delta) return;
    const std::string type = text_at(*delta, "type");
    const auto is = [&](Stage stage, std::string_view name, std::string_view key) {
      return stage_ == stage && type == name && has_keys(*delta, {"type", key}) &&
             delta->find(key)->is_string() && !delta->find(key)->text().empty();
    };
    if (is(Stage::kText, "text_delta", "text")) {
      text_ += text_at(*delta, "text");
    } else if (is(Stage::kThinking, "thinking_delta", "thinking")) {
      text_ += text_at(*delta, "thinking");
    } else if (is(Stage::kThinking, "signature_delta", "signature")) {
      signature_ = text_at(*delta, "signature");
      stage_ = Stage::kSigned;
    } else if (is(Stage::kCall, "input_json_delta", "partial_json")) {
      text_ += text_at(*delta, "partial_json");
    } else {
      violation("a delta that does not belong: " + data.dump());
    }
  }

  void stop_block(const Json& data) {
    expect(has_keys(data, {"type", "index"}), "keys of content_block_stop");
    expect(number_at(data, "index") == index_, "index of content_block_stop");
    if (stage_ == Stage::kText) {
      expect(!text_.empty(), "an empty text block");
      if (turn_.content.empty()) turn_.content.emplace_back();
      turn_.content.back().text += text_;
      block_.set("text", Json::string(text_));
      content_.push_back(block_);
    } else if (stage_ == Stage::kSigned) {
      expect(!text_.empty() || !sealed_thinking(signature_).empty(), "an empty thinking block");
      turn_.reasoning += text_;
      block_.set("thinking", Json::string(text_));
      block_.set("signature", Json::string(signature_));
      content_.push_back(block_);
    } else if (stage_ == Stage::kCall) {
      stop_call();
    } else {
      violation("content_block_stop without a block, or of thinking without a signature");
    }
    stage_ = Stage::kBetween;
  }

  void stop_call() {
    turn_.tool_calls.push_back({text_at(block_, "id"), text_at(block_, "name"), text_});
    const Result<Json> input = parse_json(text_.empty() ? "{}" : text_, "input");
    if (input && input->is_object()) {
      block_.set("input", *input);
      content_.push_back(block_);
    } else {
      cut_calls_.push_back(static_cast<int>(turn_.tool_calls.size()) - 1);
    }
  }

  void take_message_delta(const Json& data) {
    expect(stage_ == Stage::kBetween, "message_delta inside a block or a second time");
    stage_ = Stage::kEnding;
    const Json* delta = data.find("delta");
    const Json* usage = data.find("usage");
    if (!has_keys(data, {"type", "delta", "usage"}) || !delta || !usage ||
        !has_keys(*delta, {"stop_reason", "stop_sequence"})) {
      return violation("keys of message_delta");
    }
    const std::string reason = text_at(*delta, "stop_reason");
    const auto reasons = {"end_turn", "max_tokens", "stop_sequence", "tool_use",
                          "model_context_window_exceeded"};
    expect(std::find(reasons.begin(), reasons.end(), reason) != reasons.end(),
           "stop_reason " + reason);
    expect((reason == "stop_sequence") == delta->find("stop_sequence")->is_string(),
           "stop_sequence with the stop_reason " + reason);
    expect(reason != "tool_use" || (!turn_.tool_calls.empty() && cut_calls_.empty()),
           "tool_use without calls or with one that was cut off");
    check_usage(*usage);
    expect(
        number_at(*usage, "input_tokens") + number_at(*usage, "cache_read_input_tokens") == input_,
        "input tokens at the start and at the end");
    message_.set("content", Json::array(content_));
    for (const auto& [key, value] : delta->members()) message_.set(key, value);
    message_.set("usage", *usage);
  }

  void stop(const Json& data) {
    expect(stage_ == Stage::kEnding, "message_stop without message_delta");
    expect(has_keys(data, {"type"}), "keys of message_stop");
    stage_ = Stage::kStopped;
  }

  SseReader reader_;
  Stage stage_ = Stage::kStart;
  std::vector<std::string> violations_;
  Json message_ = Json::object();
  Json error_;
  Message turn_;
  std::vector<int> cut_calls_;
  std::vector<Json> content_;
  Json block_ = Json::object();
  std::string text_, signature_;  // of the open block
  std::int64_t index_ = -1, input_ = -1;
};

}  // namespace plumb::wire
