#include "load/reply_check.h"

#include <string>
#include <utility>

#include "base/json.h"
#include "base/strings.h"

namespace plumb::load {
namespace {

Error wrong(std::string_view what, std::string_view shown) {
  return {Code::kCorrupt, str(what, ": ", shown.substr(0, 200))};
}

const Json* object(const Json* at, std::string_view key) {
  const Json* value = at ? at->find(key) : nullptr;
  return value && value->is_object() ? value : nullptr;
}

std::string_view text(const Json* at, std::string_view key) {
  const Json* value = at ? at->find(key) : nullptr;
  return value && value->is_string() ? std::string_view(value->text()) : std::string_view();
}

std::int64_t count(const Json* at, std::string_view key) {
  const Json* value = at ? at->find(key) : nullptr;
  return value ? value->as_int().value_or(0) : 0;
}

// Usage by the names of its fields; nullopt where the two that matter are missing.
std::optional<TokenUsage> usage_of(const Json* usage, std::string_view in, std::string_view details,
                                   std::string_view out) {
  if (!usage || !usage->find(in) || !usage->find(out)) return std::nullopt;
  return TokenUsage{count(usage, in), count(object(usage, details), "cached_tokens"),
                    count(usage, out)};
}

// Chat Completions and Completions: chunks without names, then [DONE].
class ChunkCheck final : public ReplyCheck {
 public:
  ChunkCheck(std::string_view kind, bool chat) : kind_(kind), chat_(chat) {}

  Result<bool> take(const wire::SseEvent& event) override {
    if (done_) return wrong("An event after [DONE]", event.data);
    if (event.data == "[DONE]") {
      done_ = true;
      return false;
    }
    PLUMB_TRY(chunk, parse_json(event.data, "A chunk"));
    if (chunk.find("error")) return wrong("The stream told an error", event.data);
    if (text(&chunk, "object") != kind_) {
      return wrong(str("A chunk's object is not ", kind_), event.data);
    }
    const std::string_view id = text(&chunk, "id");
    if (id.empty() || (!id_.empty() && id != id_))
      return wrong("A chunk changed its id", event.data);
    id_ = std::string(id);
    if (auto usage = usage_of(object(&chunk, "usage"), "prompt_tokens", "prompt_tokens_details",
                              "completion_tokens")) {
      usage_ = usage;
    }
    const Json* choices = chunk.find("choices");
    if (!choices || !choices->is_array()) return wrong("A chunk has no choices", event.data);
    bool piece = false;
    for (const Json& choice : choices->items()) {
      if (finished_ && has_piece(choice)) return wrong("Text after the finish reason", event.data);
      piece = piece || has_piece(choice);
      if (text(&choice, "finish_reason").empty()) continue;
      if (finished_) return wrong("A second finish reason", event.data);
      finished_ = true;
    }
    return piece;
  }

  Result<TokenUsage> end() const override {
    if (!finished_) return wrong("The stream ended", "without a finish reason");
    if (!usage_) return wrong("The stream ended", "without usage");
    if (!done_) return wrong("The stream ended", "without [DONE]");
    return *usage_;
  }

 private:
  bool has_piece(const Json& choice) const {
    if (!chat_) return !text(&choice, "text").empty();
    const Json* delta = object(&choice, "delta");
    const Json* calls = delta ? delta->find("tool_calls") : nullptr;
    return !text(delta, "content").empty() || !text(delta, "reasoning_content").empty() ||
           (calls && calls->is_array() && !calls->items().empty());
  }

  const std::string_view kind_;
  const bool chat_;
  std::string id_;
  bool finished_ = false, done_ = false;
  std::optional<TokenUsage> usage_;
};

// Formats whose events have names, repeated as the data's type.
class NamedCheck : public ReplyCheck {
 public:
  Result<bool> take(const wire::SseEvent& event) final {
    if (over_) return wrong("An event after the last", event.data);
    PLUMB_TRY(data, parse_json(event.data, "An event"));
    const std::string_view type = text(&data, "type");
    if (type.empty() || type != event.name) {
      return wrong(str("An event named ", event.name, " has another type"), event.data);
    }
    if (const Status good = take(type, data); !good) {
      return Error{good.error().code, str(good.error().message, ": ", event.data.substr(0, 200))};
    }
    return type.ends_with("delta") && type != "message_delta";
  }

  Result<TokenUsage> end() const final {
    if (!over_) return wrong("The stream ended", str("without ", last_event()));
    if (!usage_) return wrong("The stream ended", "without usage");
    return *usage_;
  }

 protected:
  virtual Status take(std::string_view type, const Json& data) = 0;
  virtual std::string_view last_event() const = 0;
  static Status bad(std::string message) { return Error{Code::kCorrupt, std::move(message)}; }

  bool over_ = false;  // its last event came
  std::optional<TokenUsage> usage_;
};

class MessagesCheck final : public NamedCheck {
  Status take(std::string_view type, const Json& data) override {
    if (type == "ping") return {};
    if (type == "error") return bad("The stream told an error");
    if (!started_ && type != "message_start") return bad("The first event is not message_start");
    if (type == "message_start") return start();
    if (ended_ && type != "message_stop") return bad("An event after message_delta");
    if (type == "content_block_start") return block_start(count(&data, "index"));
    if (type == "content_block_delta") return inside_block(count(&data, "index"));
    if (type == "content_block_stop") {
      PLUMB_TRY_STATUS(inside_block(count(&data, "index")));
      open_ = false;
      ++index_;
      return {};
    }
    if (type == "message_delta") return message_delta(data);
    if (type == "message_stop") {
      if (!ended_) return bad("message_stop before message_delta");
      over_ = true;
    }
    return {};  // a client must pass over events that it does not know
  }

  Status start() {
    if (started_) return bad("A second message_start");
    started_ = true;
    return {};
  }

  Status block_start(std::int64_t index) {
    if (open_) return bad("A block begins inside another");
    if (index != index_) return bad(str("A block's index is not ", index_));
    open_ = true;
    return {};
  }

  Status inside_block(std::int64_t index) const {
    if (!open_) return bad("There is no open block");
    return index == index_ ? Status{} : bad(str("A block's index is not ", index_));
  }

  Status message_delta(const Json& data) {
    if (open_) return bad("message_delta inside a block");
    if (text(object(&data, "delta"), "stop_reason").empty()) return bad("There is no stop reason");
    ended_ = true;
    const Json* usage = object(&data, "usage");
    if (!usage || !usage->find("output_tokens")) return {};
    const std::int64_t cached = count(usage, "cache_read_input_tokens");
    usage_ = TokenUsage{
        count(usage, "input_tokens") + cached + count(usage, "cache_creation_input_tokens"), cached,
        count(usage, "output_tokens")};
    return {};
  }

  std::string_view last_event() const override { return "message_stop"; }

  bool started_ = false, open_ = false, ended_ = false;
  std::int64_t index_ = 0;  // of the open block, or of the next
};

class ResponsesCheck final : public NamedCheck {
  Status take(std::string_view type, const Json& data) override {
    if (type == "error" || type == "response.failed") return bad("The stream told an error");
    const Json* number = data.find("sequence_number");
    const std::int64_t sequence = number ? number->as_int().value_or(-1) : -1;
    if (sequence <= sequence_) return bad(str("The sequence number is not above ", sequence_));
    sequence_ = sequence;
    if (!started_ && type != "response.created") return bad("The first event is not created");
    started_ = true;
    if (type == "response.output_item.added") ++open_;
    if (type == "response.output_item.done" && --open_ < 0) return bad("An item ended twice");
    if (type == "response.completed" || type == "response.incomplete") {
      if (open_ != 0) return bad("The response ended inside an item");
      usage_ = usage_of(object(object(&data, "response"), "usage"), "input_tokens",
                        "input_tokens_details", "output_tokens");
      over_ = true;
    }
    return {};
  }

  std::string_view last_event() const override { return "response.completed"; }

  std::int64_t sequence_ = -1;
  bool started_ = false;
  int open_ = 0;  // items
};

}  // namespace

std::string_view to_string(Api api) {
  switch (api) {
    case Api::kChat:
      return "chat";
    case Api::kCompletions:
      return "completions";
    case Api::kMessages:
      return "messages";
    case Api::kResponses:
      return "responses";
  }
  return "";
}

TokenUsage& TokenUsage::operator+=(const TokenUsage& other) {
  prompt += other.prompt;
  cached += other.cached;
  completion += other.completion;
  return *this;
}

std::unique_ptr<ReplyCheck> make_reply_check(Api api) {
  switch (api) {
    case Api::kChat:
      return std::make_unique<ChunkCheck>("chat.completion.chunk", true);
    case Api::kCompletions:
      return std::make_unique<ChunkCheck>("text_completion", false);
    case Api::kMessages:
      return std::make_unique<MessagesCheck>();
    case Api::kResponses:
      break;
  }
  return std::make_unique<ResponsesCheck>();
}

}  // namespace plumb::load
