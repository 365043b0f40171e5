#include "gateway/wire/responses_writer.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "gateway/wire/openai_error.h"
#include "gateway/wire/openai_reply.h"
#include "gateway/wire/responses_reasoning.h"
#include "gateway/wire/sse.h"
#include "text/chat_json.h"

namespace plumb::wire {
namespace {

using Members = std::vector<Json::Member>;

Json text_of(std::string_view text) { return Json::string(std::string(text)); }

enum class Kind { kReasoning, kMessage, kCall };

// An output item, as far as it is written.
struct Item {
  Kind kind = Kind::kReasoning;
  std::string id;
  std::string text;            // a call's arguments
  std::vector<Json> logprobs;  // messages
  ToolCallDelta call;          // the first one
};

Json token_json(std::string_view bytes, float logprob) {
  std::vector<Json> codes;
  for (const char c : bytes) codes.push_back(Json::integer(static_cast<unsigned char>(c)));
  return Json::object({{"token", Json::string(replace_invalid_utf8(bytes))},
                       {"bytes", Json::array(std::move(codes))},
                       {"logprob", Json::number(logprob_text(logprob))}});
}

Json logprob_json(const TokenInfo& info) {
  std::vector<Json> top;
  for (const TokenOption& other : info.top) top.push_back(token_json(other.bytes, other.logprob));
  Json out = token_json(info.bytes, info.logprob);
  out.set("top_logprobs", Json::array(std::move(top)));
  return out;
}

Json part_json(const Item& item, bool done) {
  Json part = Json::object(
      {{"type", text_of(item.kind == Kind::kMessage ? "output_text" : "reasoning_text")},
       {"text", text_of(done ? item.text : "")}});
  if (item.kind == Kind::kMessage) {
    part.set("annotations", Json::array());
    part.set("logprobs", Json::array(done ? item.logprobs : std::vector<Json>()));
  }
  return part;
}

// As output_item.added has it ("in_progress": nothing in it yet), or output_item.done.
Json item_json(const Item& item, std::string_view status, bool pack) {
  const bool done = status != "in_progress";
  const auto content = [&] {
    return Json::array(done ? std::vector<Json>{part_json(item, true)} : std::vector<Json>());
  };
  Json out = Json::object({{"id", Json::string(item.id)}});
  switch (item.kind) {
    case Kind::kReasoning:
      out.set("type", text_of("reasoning"));
      out.set("summary", Json::array());
      out.set("content", content());
      out.set("encrypted_content", done && pack ? Json::string(pack_reasoning(item.text)) : Json());
      break;
    case Kind::kMessage:
      out.set("type", text_of("message"));
      out.set("role", text_of("assistant"));
      out.set("content", content());
      break;
    case Kind::kCall:
      out.set("type", text_of("function_call"));
      out.set("call_id", Json::string(item.call.id));
      out.set("name", Json::string(item.call.name));
      out.set("arguments", text_of(done ? item.text : ""));
      break;
  }
  out.set("status", text_of(status));
  return out;
}

Json usage_json(const Usage& usage) {
  Json details = Json::object({{"reasoning_tokens", Json::integer(usage.reasoning)}});
  if (usage.brake != Brake::kNone)
    details.set("brake", Json::string(std::string(to_string(usage.brake))));
  // Keeping a prompt's state for later costs a client nothing, so no tokens count as written.
  return Json::object(
      {{"input_tokens", Json::integer(usage.prompt)},
       {"input_tokens_details", Json::object({{"cached_tokens", Json::integer(usage.cached)},
                                              {"cache_write_tokens", Json::integer(0)}})},
       {"output_tokens", Json::integer(usage.completion)},
       {"output_tokens_details", std::move(details)},
       {"total_tokens", Json::integer(std::int64_t{usage.prompt} + usage.completion)}});
}

// The format has a closed list of codes; the message says the rest.
std::string_view error_code(const Refusal& refusal) {
  if (refusal.status == 429) return "rate_limit_exceeded";
  if (refusal.status >= 500 || refusal.status == 408 || refusal.status == 499)
    return "server_error";
  return "invalid_prompt";
}

class ResponsesWriter final : public ReplyWriter {
 public:
  ResponsesWriter(ResponsesSettings settings, ReplyHead head)
      : settings_(std::move(settings)), head_(std::move(head)) {}

  void start(int, std::string& out) override {
    emit("response.created", {{"response", response("in_progress")}}, out);
    emit("response.in_progress", {{"response", response("in_progress")}}, out);
  }

  void take(int, const ChatEvent& event, std::string& out) override {
    if (const auto* delta = std::get_if<ReplyDelta>(&event)) {
      take_delta(*delta, out);
    } else if (const auto* token = std::get_if<TokenInfo>(&event)) {
      if (settings_.logprobs) tokens_.push_back(*token);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      finish_ = *finished;
      close(finish_.reason == FinishReason::kStop, out);
    }
  }

  void end(std::string& out) override {
    const bool whole = finish_.reason == FinishReason::kStop;
    Json last = response(whole ? "completed" : "incomplete");
    last.set("usage", usage_json(finish_.usage));
    if (!whole) {
      last.set("incomplete_details", Json::object({{"reason", text_of("max_output_tokens")}}));
    }
    if (!settings_.stream) out += last.dump();
    emit(whole ? "response.completed" : "response.incomplete", {{"response", std::move(last)}},
         out);
  }

  void fail(const Refusal& refusal, std::string& out) override {
    if (!settings_.stream) {
      out += openai_error(refusal, {});
      return;
    }
    Json last = response("failed");
    last.set("error", Json::object({{"code", text_of(error_code(refusal))},
                                    {"message", Json::string(refusal.message)}}));
    emit("response.failed", {{"response", std::move(last)}}, out);
  }

 private:
  void take_delta(const ReplyDelta& delta, std::string& out) {
    if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
      tokens_.clear();
      if (reasoning->text.empty()) return;
      turn_to(Kind::kReasoning, out);
      add(reasoning->text, out);
    } else if (const auto* content = std::get_if<ContentDelta>(&delta)) {
      if (content->text.empty()) return;
      turn_to(Kind::kMessage, out);
      add(content->text, out);
    } else {
      tokens_.clear();
      const auto& call = std::get<ToolCallDelta>(delta);
      turn_to_call(call, out);
      if (!call.arguments.empty()) add(call.arguments, out);
    }
  }

  void turn_to(Kind kind, std::string& out) {
    if (item_ && item_->kind == kind) return;
    close(true, out);
    open(kind, {}, out);
  }

  void turn_to_call(const ToolCallDelta& call, std::string& out) {
    if (item_ && item_->kind == Kind::kCall && item_->call.index == call.index) return;
    PLUMB_CHECK(call.index >= calls_);
    calls_ = call.index + 1;
    close(true, out);
    open(Kind::kCall, call, out);
  }

  void open(Kind kind, const ToolCallDelta& call, std::string& out) {
    Item& item = item_.emplace();
    item.kind = kind;
    item.call = call;
    item.id = str(kind == Kind::kReasoning ? "rs_"
                  : kind == Kind::kMessage ? "msg_"
                                           : "fc_",
                  head_.unique, "_", output_.size());
    emit("response.output_item.added",
         {{"output_index", index()}, {"item", item_json(item, "in_progress", false)}}, out);
    if (kind == Kind::kCall) return;
    emit("response.content_part.added", placed({{"part", part_json(item, false)}}), out);
  }

  void add(const std::string& text, std::string& out) {
    item_->text += text;
    Members members = placed({{"delta", Json::string(text)}});
    if (item_->kind == Kind::kMessage) {
      std::vector<Json> logprobs = take_logprobs(text.size());
      item_->logprobs.insert(item_->logprobs.end(), logprobs.begin(), logprobs.end());
      members.emplace_back("logprobs", Json::array(std::move(logprobs)));
    }
    emit(item_->kind == Kind::kReasoning ? "response.reasoning_text.delta"
         : item_->kind == Kind::kMessage ? "response.output_text.delta"
                                         : "response.function_call_arguments.delta",
         std::move(members), out);
  }

  // Of the tokens since the last delta, the latest that suffice for its text: markup before it, as
  // the end of reasoning, is no part of the answer.
  std::vector<Json> take_logprobs(std::size_t text_size) {
    std::size_t first = tokens_.size();
    std::size_t covered = 0;
    while (first > 0 && covered < text_size) covered += tokens_[--first].bytes.size();
    std::vector<Json> logprobs;
    for (; first < tokens_.size(); ++first) logprobs.push_back(logprob_json(tokens_[first]));
    tokens_.clear();
    return logprobs;
  }

  // `whole`: the model went on after it, or said that it was done.
  void close(bool whole, std::string& out) {
    if (!item_) return;
    if (item_->kind == Kind::kCall) {
      whole = parse_arguments(item_->text).has_value();
      emit("response.function_call_arguments.done",
           placed({{"name", Json::string(item_->call.name)},
                   {"arguments", Json::string(item_->text)}}),
           out);
    } else {
      Members members = placed({{"text", Json::string(item_->text)}});
      const bool message = item_->kind == Kind::kMessage;
      if (message) members.emplace_back("logprobs", Json::array(item_->logprobs));
      emit(message ? "response.output_text.done" : "response.reasoning_text.done",
           std::move(members), out);
      emit("response.content_part.done", placed({{"part", part_json(*item_, true)}}), out);
    }
    Json done = item_json(*item_, whole ? "completed" : "incomplete", settings_.pack_reasoning);
    emit("response.output_item.done", {{"output_index", index()}, {"item", done}}, out);
    output_.push_back(std::move(done));
    item_.reset();
  }

  Json response(std::string_view status) const {
    Json out = Json::object({{"id", Json::string("resp_" + head_.unique)},
                             {"object", text_of("response")},
                             {"created_at", Json::integer(head_.created)},
                             {"completed_at", Json()},
                             {"status", text_of(status)},
                             {"error", Json()},
                             {"incomplete_details", Json()},
                             {"model", Json::string(head_.model)},
                             {"output", Json::array(output_)},
                             {"usage", Json()}});
    const auto& echo = settings_.echo.members();
    out.members().insert(out.members().end(), echo.begin(), echo.end());
    return out;
  }

  Json index() const { return Json::integer(static_cast<std::int64_t>(output_.size())); }

  // `members`, after where in the output they belong.
  Members placed(Members members) const {
    Members out = {{"item_id", Json::string(item_->id)}, {"output_index", index()}};
    if (item_->kind != Kind::kCall) out.emplace_back("content_index", Json::integer(0));
    for (auto& member : members) out.push_back(std::move(member));
    return out;
  }

  void emit(std::string_view type, Members members, std::string& out) {
    if (!settings_.stream) return;
    Json data = Json::object(
        {{"type", text_of(type)}, {"sequence_number", Json::integer(sequence_number_++)}});
    for (auto& member : members) data.members().push_back(std::move(member));
    append_event(out, type, data.dump());
  }

  const ResponsesSettings settings_;
  const ReplyHead head_;
  std::int64_t sequence_number_ = 0;
  std::vector<Json> output_;       // items that are done
  std::optional<Item> item_;       // the open one
  int calls_ = 0;                  // above the index of every call begun
  std::vector<TokenInfo> tokens_;  // since the last delta; only if logprobs are asked for
  Finished finish_;
};

}  // namespace

std::unique_ptr<ReplyWriter> make_responses_writer(ResponsesSettings settings, ReplyHead head) {
  return std::make_unique<ResponsesWriter>(std::move(settings), std::move(head));
}

}  // namespace plumb::wire
