#include "gateway/wire/anthropic_writer.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "gateway/wire/anthropic_error.h"
#include "gateway/wire/anthropic_signature.h"
#include "gateway/wire/sse.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

Json text_of(std::string_view text) { return Json::string(std::string(text)); }

Json usage_json(const Usage& usage) {
  Json details = Json::object({{"thinking_tokens", Json::integer(usage.reasoning)}});
  if (usage.brake != Brake::kNone)
    details.set("brake", Json::string(std::string(to_string(usage.brake))));
  return Json::object({{"input_tokens", Json::integer(usage.prompt - usage.cached)},
                       {"cache_creation_input_tokens", Json::integer(0)},
                       {"cache_read_input_tokens", Json::integer(usage.cached)},
                       {"output_tokens", Json::integer(usage.completion)},
                       {"output_tokens_details", std::move(details)}});
}

Json message_json(const ReplyHead& head, std::vector<Json> content, Json stop_reason,
                  Json stop_sequence, const Usage& usage) {
  return Json::object({{"id", Json::string("msg_" + head.unique)},
                       {"type", text_of("message")},
                       {"role", text_of("assistant")},
                       {"model", Json::string(head.model)},
                       {"content", Json::array(std::move(content))},
                       {"stop_reason", std::move(stop_reason)},
                       {"stop_sequence", std::move(stop_sequence)},
                       {"usage", usage_json(usage)}});
}

std::string_view stop_reason(const Finished& finished, bool called, int max_tokens) {
  if (finished.reason == FinishReason::kLength) {
    // What a brake ended was cut at a number of tokens, if not at this one.
    const bool full =
        finished.usage.completion >= max_tokens || finished.usage.brake != Brake::kNone;
    return !full ? "model_context_window_exceeded" : "max_tokens";
  }
  if (finished.stop) return "stop_sequence";
  return called && finished.unfinished_calls.empty() ? "tool_use" : "end_turn";
}

Json stop_sequence(const Finished& finished) {
  return finished.stop ? Json::string(*finished.stop) : Json();
}

enum class BlockKind { kNone, kThinking, kText, kCall };

std::string_view block_start(BlockKind kind) {
  return kind == BlockKind::kThinking ? R"({"type":"thinking","thinking":"","signature":""})"
                                      : R"({"type":"text","text":""})";
}

// The stream: one block is open at a time, and closes where another begins. Thread-compatible.
class MessageStream final : public ReplyWriter {
 public:
  MessageStream(const ReplyHead& head, const MessageOptions& options)
      : head_(head), options_(options) {}

  void start(int prompt_tokens, std::string& out) override {
    Usage usage;
    usage.prompt = prompt_tokens;
    const Json message = message_json(head_, {}, {}, {}, usage);
    append_event(out, "message_start",
                 str(R"({"type":"message_start","message":)", message.dump(), "}"));
    append_event(out, "ping", R"({"type":"ping"})");
  }

  void take(int, const ChatEvent& event, std::string& out) override {
    if (over_) return;
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) {
      take_delta(*delta, out);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      finish(*finished, out);
    }
  }

  void end(std::string& out) override {
    if (over_) return;
    append_event(out, "message_stop", R"({"type":"message_stop"})");
    over_ = true;
  }

  void fail(const Refusal& refusal, std::string& out) override {
    if (over_) return;
    append_event(out, "error", anthropic_error(refusal, ""));
    over_ = true;
  }

 private:
  void take_delta(const ReplyDelta& delta, std::string& out) {
    if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
      if (reasoning->text.empty()) return;
      open(BlockKind::kThinking, out);
      thinking_ += reasoning->text;
      if (options_.show_thinking) {
        write_delta("thinking_delta", "thinking", reasoning->text, out);
      }
    } else if (const auto* content = std::get_if<ContentDelta>(&delta)) {
      if (content->text.empty()) return;
      open(BlockKind::kText, out);
      write_delta("text_delta", "text", content->text, out);
    } else if (options_.calls) {
      take_call(std::get<ToolCallDelta>(delta), out);
    }
  }

  void take_call(const ToolCallDelta& delta, std::string& out) {
    if (open_ != BlockKind::kCall || delta.index != call_) {
      // A closed block cannot be opened again, and a call with a piece missing must not be run.
      if (delta.index <= call_) {
        fail({500, "The provider mixed the pieces of two tool calls.", "", "internal_error", {}},
             out);
        return;
      }
      call_ = delta.index;
      const Json block = Json::object({{"type", text_of("tool_use")},
                                       {"id", Json::string(delta.id)},
                                       {"name", Json::string(delta.name)},
                                       {"input", Json::object()}});
      close(out);
      write_start(BlockKind::kCall, block.dump(), out);
    }
    if (!delta.arguments.empty()) {
      write_delta("input_json_delta", "partial_json", delta.arguments, out);
    }
  }

  void open(BlockKind kind, std::string& out) {
    if (open_ == kind) return;
    close(out);
    write_start(kind, block_start(kind), out);
  }

  void close(std::string& out) {
    if (open_ == BlockKind::kNone) return;
    if (open_ == BlockKind::kThinking) {
      const std::string signature =
          options_.show_thinking ? thinking_signature(thinking_) : seal_thinking(thinking_);
      write_delta("signature_delta", "signature", signature, out);
      thinking_.clear();
    }
    append_event(out, "content_block_stop",
                 str(R"({"type":"content_block_stop","index":)", index_, "}"));
    open_ = BlockKind::kNone;
  }

  void write_start(BlockKind kind, std::string_view block, std::string& out) {
    open_ = kind;
    ++index_;
    append_event(out, "content_block_start",
                 str(R"({"type":"content_block_start","index":)", index_, R"(,"content_block":)",
                     block, "}"));
  }

  void write_delta(std::string_view type, std::string_view key, std::string_view text,
                   std::string& out) {
    append_event(out, "content_block_delta",
                 str(R"({"type":"content_block_delta","index":)", index_, R"(,"delta":{"type":")",
                     type, "\",\"", key, "\":", json_quote(text), "}}"));
  }

  void finish(const Finished& finished, std::string& out) {
    close(out);
    const Json delta = Json::object(
        {{"stop_reason", text_of(stop_reason(finished, call_ >= 0, options_.max_tokens))},
         {"stop_sequence", stop_sequence(finished)}});
    append_event(out, "message_delta",
                 str(R"({"type":"message_delta","delta":)", delta.dump(), R"(,"usage":)",
                     usage_json(finished.usage).dump(), "}"));
  }

  const ReplyHead head_;
  const MessageOptions options_;
  BlockKind open_ = BlockKind::kNone;
  int index_ = -1;        // of the latest block
  int call_ = -1;         // the latest call
  std::string thinking_;  // of the open block
  bool over_ = false;
};

// The whole body: the blocks that the stream would have had, less the calls that were cut off.
// Thread-compatible.
class WholeMessage final : public ReplyWriter {
 public:
  WholeMessage(const ReplyHead& head, const MessageOptions& options)
      : head_(head), options_(options) {}

  void start(int, std::string&) override {}

  void take(int, const ChatEvent& event, std::string&) override {
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) {
      take_delta(*delta);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      finished_ = *finished;
    }
  }

  void end(std::string& out) override {
    std::vector<Json> content;
    for (const Block& block : blocks_) {
      if (auto json = block_json(block)) content.push_back(*std::move(json));
    }
    const std::string_view reason = stop_reason(finished_, called_, options_.max_tokens);
    out += message_json(head_, std::move(content), text_of(reason), stop_sequence(finished_),
                        finished_.usage)
               .dump();
  }

  void fail(const Refusal& refusal, std::string& out) override {
    out += anthropic_error(refusal, "");
  }

 private:
  struct Block {
    BlockKind kind = BlockKind::kNone;
    std::string text;
    ToolCallDelta call;
  };

  Block& open(BlockKind kind) {
    if (blocks_.empty() || blocks_.back().kind != kind) blocks_.push_back({kind, "", {}});
    return blocks_.back();
  }

  void take_delta(const ReplyDelta& delta) {
    if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
      if (!reasoning->text.empty()) open(BlockKind::kThinking).text += reasoning->text;
    } else if (const auto* content = std::get_if<ContentDelta>(&delta)) {
      if (!content->text.empty()) open(BlockKind::kText).text += content->text;
    } else if (options_.calls) {
      take_call(std::get<ToolCallDelta>(delta));
    }
  }

  void take_call(const ToolCallDelta& delta) {
    called_ = true;
    const auto same = std::find_if(blocks_.rbegin(), blocks_.rend(), [&](const Block& block) {
      return block.kind == BlockKind::kCall && block.call.index == delta.index;
    });
    if (same == blocks_.rend()) {
      blocks_.push_back({BlockKind::kCall, "", delta});
    } else {
      same->call.arguments += delta.arguments;
    }
  }

  // nullopt: a call that was cut off.
  std::optional<Json> block_json(const Block& block) const {
    switch (block.kind) {
      case BlockKind::kThinking:
        return Json::object(
            {{"type", text_of("thinking")},
             {"thinking", text_of(options_.show_thinking ? block.text : "")},
             {"signature", Json::string(options_.show_thinking ? thinking_signature(block.text)
                                                               : seal_thinking(block.text))}});
      case BlockKind::kText:
        return Json::object({{"type", text_of("text")}, {"text", Json::string(block.text)}});
      case BlockKind::kCall:
        return call_json(block.call);
      case BlockKind::kNone:
        break;
    }
    return std::nullopt;
  }

  std::optional<Json> call_json(const ToolCallDelta& call) const {
    const auto& cut = finished_.unfinished_calls;
    if (std::find(cut.begin(), cut.end(), call.index) != cut.end()) return std::nullopt;
    Json input = Json::object();
    if (!call.arguments.empty()) {
      Result<Json> parsed = parse_arguments(call.arguments);
      if (!parsed) return std::nullopt;
      input = *std::move(parsed);
    }
    return Json::object({{"type", text_of("tool_use")},
                         {"id", Json::string(call.id)},
                         {"name", Json::string(call.name)},
                         {"input", std::move(input)}});
  }

  const ReplyHead head_;
  const MessageOptions options_;
  std::vector<Block> blocks_;
  bool called_ = false;
  Finished finished_;
};

}  // namespace

std::unique_ptr<ReplyWriter> make_message_writer(const ReplyHead& head,
                                                 const MessageOptions& options) {
  if (options.stream) return std::make_unique<MessageStream>(head, options);
  return std::make_unique<WholeMessage>(head, options);
}

}  // namespace plumb::wire
