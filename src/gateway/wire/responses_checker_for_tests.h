// Reads a stream of the Responses format as strictly as its grammar can be read, and puts the reply
// together from its deltas.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "gateway/wire/sse_reader_for_tests.h"

namespace plumb::wire {

// Thread-compatible.
class ResponsesChecker {
 public:
  struct Call {
    std::string id, name, arguments;
    bool whole = false;
  };

  // Bytes in any pieces.
  void push(std::string_view bytes) {
    for (const SseEvent& event : reader_.push(bytes)) {
      if (violation_.empty()) take(event);
    }
    if (!reader_.malformed().empty()) fail("a line of no known field");
  }

  // What was wrong first; empty: nothing so far.
  const std::string& violation() const { return violation_; }
  // The reply is all there: the stream ended as completed or incomplete.
  bool complete() const {
    return violation_.empty() && (end_ == "completed" || end_ == "incomplete");
  }
  bool failed() const { return end_ == "failed"; }

  // Joined deltas.
  const std::string& reasoning() const { return reasoning_; }
  const std::string& text() const { return text_; }
  const std::vector<Call>& calls() const { return calls_; }
  const std::vector<Json>& logprobs() const { return logprobs_; }
  // The response object of the last event.
  const Json& response() const { return response_; }
  int events() const { return next_; }

 private:
  enum class Stage { kAdded, kPartOpen, kTextDone, kPartDone };
  struct Item {
    Json json;  // as it was added, then as it should be when done
    std::string kind, text;
    std::vector<Json> logprobs;
    Stage stage = Stage::kAdded;
  };
  using Keys = std::set<std::string, std::less<>>;

  void fail(std::string why) {
    if (violation_.empty()) violation_ = std::move(why);
  }
  bool expect(bool holds, std::string_view what) {
    if (!holds) fail(std::string(what) + " (event " + std::to_string(next_ - 1) + ")");
    return holds;
  }
  static const std::string& text_at(const Json& object, std::string_view key) {
    static const std::string none = "(no text)";
    const Json* value = object.find(key);
    return value && value->is_string() ? value->text() : none;
  }
  static std::string dump_at(const Json& object, std::string_view key) {
    const Json* value = object.find(key);
    return value ? value->dump() : "(absent)";
  }
  static Keys keys_of(const Json& object) {
    Keys keys;
    for (const auto& [key, value] : object.members()) keys.insert(key);
    return keys;
  }

  // Beside type and sequence_number, exactly these.
  static const Keys* keys_of_event(const std::string& type) {
    static const std::map<std::string, Keys> table = [] {
      const Keys response = {"response"}, item = {"output_index", "item"};
      const Keys part = {"item_id", "output_index", "content_index", "part"};
      return std::map<std::string, Keys>{
          {"response.created", response},
          {"response.in_progress", response},
          {"response.completed", response},
          {"response.incomplete", response},
          {"response.failed", response},
          {"response.output_item.added", item},
          {"response.output_item.done", item},
          {"response.content_part.added", part},
          {"response.content_part.done", part},
          {"response.reasoning_text.delta", {"item_id", "output_index", "content_index", "delta"}},
          {"response.reasoning_text.done", {"item_id", "output_index", "content_index", "text"}},
          {"response.output_text.delta",
           {"item_id", "output_index", "content_index", "delta", "logprobs"}},
          {"response.output_text.done",
           {"item_id", "output_index", "content_index", "text", "logprobs"}},
          {"response.function_call_arguments.delta", {"item_id", "output_index", "delta"}},
          {"response.function_call_arguments.done",
           {"item_id", "output_index", "name", "arguments"}}};
    }();
    const auto found = table.find(type);
    return found == table.end() ? nullptr : &found->second;
  }

  void take(const SseEvent& sse) {
    const Result<Json> parsed = parse_json(sse.data, "event");
    if (!expect(parsed && parsed->is_object(), "data is no JSON object")) return;
    const Json& event = *parsed;
    const std::string& type = text_at(event, "type");
    const Keys* expected = keys_of_event(type);
    if (!expect(expected != nullptr, "unknown event " + type)) return;
    expect(sse.name == type, "the event's name is " + sse.name + ", its type " + type);
    Keys keys = keys_of(event);
    expect(keys.erase("type") == 1 && keys.erase("sequence_number") == 1 && keys == *expected,
           "keys of " + type);
    expect(dump_at(event, "sequence_number") == std::to_string(next_), "sequence_number");
    expect(end_.empty(), type + " after the end");
    ++next_;
    if (!violation_.empty()) return;
    if (next_ <= 2) {
      if (expect(type == (next_ == 1 ? "response.created" : "response.in_progress"),
                 "first events"))
        take_start(*event.find("response"));
    } else if (event.find("response")) {
      take_end(type.substr(type.find('.') + 1), *event.find("response"));
    } else {
      take_item_event(type, event);
    }
  }

  void take_start(const Json& response) {
    if (next_ == 2) expect(response.dump() == response_.dump(), "two starts differ");
    response_ = response;
    expect(text_at(response, "id").starts_with("resp_"), "id of the response");
    expect(text_at(response, "object") == "response", "object");
    expect(text_at(response, "status") == "in_progress", "status at the start");
    for (const char* key : {"error", "incomplete_details", "usage", "completed_at"})
      expect(dump_at(response, key) == "null", std::string(key) + " at the start");
    expect(dump_at(response, "output") == "[]", "output at the start");
  }

  void take_end(const std::string& status, const Json& response) {
    expect(status == "failed" || !item_, "an item is open at the end");
    if (!expect(keys_of(response) == keys_of(response_), "keys of the response")) return;
    expect(text_at(response, "status") == status, "status at the end");
    expect(dump_at(response, "output") == Json::array(items_).dump(), "output at the end");
    // All the rest is as it was.
    Json same = response;
    for (const char* key : {"status", "output", "error", "incomplete_details", "usage"})
      same.set(key, *response_.find(key));
    expect(same.dump() == response_.dump(), "what the response says of the request");
    const Json* details = response.find("incomplete_details");
    const Json* error = response.find("error");
    expect((status == "incomplete") == !details->is_null(), "incomplete_details");
    if (status == "incomplete") {
      expect(details->dump() == "{\"reason\":\"max_output_tokens\"}", "reason");
    }
    expect((status == "failed") == !error->is_null(), "error");
    if (status == "failed") expect(keys_of(*error) == Keys{"code", "message"}, "error's keys");
    if (status == "failed") {
      expect(dump_at(response, "usage") == "null", "usage of a failure");
    } else {
      take_usage(*response.find("usage"));
    }
    if (status == "completed") {
      for (const Json& item : items_) {
        expect(text_at(item, "type") == "function_call" || text_at(item, "status") == "completed",
               "an item is not complete");
      }
    }
    response_ = response;
    if (violation_.empty()) end_ = status;
  }

  void take_usage(const Json& usage) {
    const Keys keys = {"input_tokens", "input_tokens_details", "output_tokens",
                       "output_tokens_details", "total_tokens"};
    if (!expect(keys_of(usage) == keys, "keys of usage")) return;
    const auto number = [](const Json* object, const char* key) {
      const Json* value = object ? object->find(key) : nullptr;
      return value ? value->as_int().value_or(-1) : -1;
    };
    const auto in = number(&usage, "input_tokens"), out = number(&usage, "output_tokens");
    const auto cached = number(usage.find("input_tokens_details"), "cached_tokens");
    const auto thought = number(usage.find("output_tokens_details"), "reasoning_tokens");
    expect(0 <= cached && cached <= in && 0 <= thought && thought <= out, "usage");
    expect(number(&usage, "total_tokens") == in + out, "total_tokens");
  }

  void take_item_event(const std::string& type, const Json& event) {
    expect(dump_at(event, "output_index") == std::to_string(items_.size()), "output_index");
    if (type == "response.output_item.added") {
      add_item(*event.find("item"));
      return;
    }
    if (!expect(item_.has_value(), type + " without an item")) return;
    if (type == "response.output_item.done") {
      finish_item(*event.find("item"));
      return;
    }
    expect(text_at(event, "item_id") == text_at(item_->json, "id"), "item_id");
    if (event.find("content_index"))
      expect(dump_at(event, "content_index") == "0", "content_index");
    if (event.find("part")) {
      take_part(type, *event.find("part"));
    } else {
      take_text(type, event);
    }
  }

  void add_item(const Json& item) {
    if (!expect(!item_, "an item is already open")) return;
    const std::string& kind = text_at(item, "type");
    const std::string& id = text_at(item, "id");
    expect(ids_.insert(id).second, "an id twice");
    expect(text_at(item, "status") == "in_progress", "status of a new item");
    Keys keys = {"id", "type", "status"};
    if (kind == "reasoning") {
      keys.merge(Keys{"summary", "content", "encrypted_content"});
      expect(id.starts_with("rs_") && dump_at(item, "content") == "[]", "new reasoning");
      expect(dump_at(item, "summary") == "[]" && dump_at(item, "encrypted_content") == "null",
             "new reasoning");
    } else if (kind == "message") {
      keys.merge(Keys{"role", "content"});
      expect(id.starts_with("msg_") && dump_at(item, "content") == "[]", "new message");
      expect(text_at(item, "role") == "assistant", "role");
    } else {
      keys.merge(Keys{"call_id", "name", "arguments"});
      expect(kind == "function_call", "kind of item");
      expect(id.starts_with("fc_") && text_at(item, "arguments").empty(), "new call");
      expect(!text_at(item, "call_id").empty() && !text_at(item, "name").empty(), "new call");
    }
    expect(keys_of(item) == keys, "keys of a new item");
    item_ = Item{item, kind, {}, {}, Stage::kAdded};
  }

  Json part(bool done) const {
    Json out = Json::object(
        {{"type", Json::string(item_->kind == "message" ? "output_text" : "reasoning_text")},
         {"text", Json::string(done ? item_->text : "")}});
    if (item_->kind == "message") {
      out.set("annotations", Json::array());
      out.set("logprobs", Json::array(done ? item_->logprobs : std::vector<Json>()));
    }
    return out;
  }

  void take_part(const std::string& type, const Json& part_json) {
    const bool done = type == "response.content_part.done";
    expect(item_->kind != "function_call", "a call has no parts");
    expect(item_->stage == (done ? Stage::kTextDone : Stage::kAdded), type + " out of order");
    expect(part_json.dump() == part(done).dump(), type + ": the part");
    item_->stage = done ? Stage::kPartDone : Stage::kPartOpen;
  }

  void take_text(const std::string& type, const Json& event) {
    const std::string name = item_->kind == "reasoning" ? "response.reasoning_text"
                             : item_->kind == "message" ? "response.output_text"
                                                        : "response.function_call_arguments";
    const bool call = item_->kind == "function_call";
    expect(item_->stage == (call ? Stage::kAdded : Stage::kPartOpen), type + " out of order");
    if (type == name + ".delta") {
      const std::string& delta = text_at(event, "delta");
      expect(!delta.empty(), "an empty delta");
      item_->text += delta;
      if (const Json* logprobs = event.find("logprobs")) {
        for (const Json& entry : logprobs->items()) item_->logprobs.push_back(entry);
      }
      return;
    }
    expect(type == name + ".done", type + " in a " + item_->kind);
    expect(text_at(event, call ? "arguments" : "text") == item_->text, type + ": joined deltas");
    if (call) expect(text_at(event, "name") == text_at(item_->json, "name"), "name of the call");
    if (item_->kind == "message") {
      expect(dump_at(event, "logprobs") == Json::array(item_->logprobs).dump(), "logprobs");
    }
    item_->stage = Stage::kTextDone;
  }

  void finish_item(const Json& done) {
    const bool call = item_->kind == "function_call";
    expect(item_->stage == (call ? Stage::kTextDone : Stage::kPartDone), "item done out of order");
    const std::string& status = text_at(done, "status");
    expect(status == "completed" || status == "incomplete", "status of an item that is done");
    Json& json = item_->json;
    json.set("status", Json::string(status));
    if (call) {
      json.set("arguments", Json::string(item_->text));
      calls_.push_back(
          {text_at(json, "call_id"), text_at(json, "name"), item_->text, status == "completed"});
    } else {
      expect(!item_->text.empty(), "an item without text");
      json.set("content", Json::array({part(true)}));
      (item_->kind == "message" ? text_ : reasoning_) += item_->text;
      if (item_->kind == "reasoning") {
        const Json* packed = done.find("encrypted_content");
        if (packed) json.set("encrypted_content", *packed);
      }
    }
    expect(done.dump() == json.dump(), "the item that is done");
    logprobs_.insert(logprobs_.end(), item_->logprobs.begin(), item_->logprobs.end());
    items_.push_back(done);
    item_.reset();
  }

  SseReader reader_;
  std::string violation_;
  int next_ = 0;  // sequence number
  std::string end_;
  std::set<std::string> ids_;
  std::optional<Item> item_;
  std::vector<Json> items_;
  std::string reasoning_, text_;
  std::vector<Call> calls_;
  std::vector<Json> logprobs_;
  Json response_;
};

}  // namespace plumb::wire
