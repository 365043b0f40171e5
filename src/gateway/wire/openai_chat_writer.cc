#include "gateway/wire/openai_chat_writer.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "gateway/wire/openai_error.h"
#include "gateway/wire/openai_reply.h"
#include "gateway/wire/sse.h"

namespace plumb::wire {
namespace {

std::string id_of(const ReplyHead& head) { return "chatcmpl-" + head.unique; }

// {"token","logprob","bytes" without the closing brace.
void append_token(std::string_view bytes, float logprob, std::string& out) {
  out += str("{\"token\":", json_quote(replace_invalid_utf8(bytes)),
             ",\"logprob\":", logprob_text(logprob), ",\"bytes\":[");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    out += str(static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
  }
  out += ']';
}

// Log probabilities of the tokens that no chunk has shown yet.
class TokenList {
 public:
  void add(const TokenInfo& info) {
    if (!entries_.empty()) entries_ += ',';
    append_token(info.bytes, info.logprob, entries_);
    entries_ += ",\"top_logprobs\":[";
    for (std::size_t i = 0; i < info.top.size(); ++i) {
      if (i > 0) entries_ += ',';
      append_token(info.top[i].bytes, info.top[i].logprob, entries_);
      entries_ += '}';
    }
    entries_ += "]}";
  }
  // "null" where there are none.
  std::string take() {
    if (entries_.empty()) return "null";
    return str("{\"content\":[", std::exchange(entries_, {}), "],\"refusal\":null}");
  }

 private:
  std::string entries_;
};

std::string delta_of(const ReasoningDelta& delta) {
  if (delta.text.empty()) return {};
  return str("{\"reasoning_content\":", json_quote(delta.text), "}");
}

std::string delta_of(const ContentDelta& delta) {
  if (delta.text.empty()) return {};
  return str("{\"content\":", json_quote(delta.text), "}");
}

// Id, type and name stand in a call's first piece only.
std::string delta_of(const ToolCallDelta& delta) {
  const bool first = !delta.id.empty();
  if (!first && delta.arguments.empty()) return {};
  std::string out = str("{\"tool_calls\":[{\"index\":", delta.index);
  if (first) out += str(",\"id\":", json_quote(delta.id), ",\"type\":\"function\"");
  out += ",\"function\":{";
  if (first) out += str("\"name\":", json_quote(delta.name), ",");
  return out + str("\"arguments\":", json_quote(delta.arguments), "}}]}");
}

class StreamWriter final : public ReplyWriter {
 public:
  StreamWriter(const ReplyHead& head, const ChatReplyForm& form)
      : frame_(id_of(head), "chat.completion.chunk", head, form.usage),
        tokens_(form.tokens),
        choices_(static_cast<std::size_t>(form.choices)) {}

  void start(int, std::string& out) override {
    for (std::size_t i = 0; i < choices_.size(); ++i)
      chunk(i, R"({"role":"assistant","content":""})", "null", out);
  }

  void take(int index, const ChatEvent& event, std::string& out) override {
    const auto i = static_cast<std::size_t>(index);
    if (const auto* token = std::get_if<TokenInfo>(&event)) {
      if (tokens_) choices_[i].tokens.add(*token);
    } else if (const auto* delta = std::get_if<ReplyDelta>(&event)) {
      if (const auto* call = std::get_if<ToolCallDelta>(delta))
        choices_[i].calls = std::max(choices_[i].calls, call->index + 1);
      const std::string json = std::visit([](const auto& d) { return delta_of(d); }, *delta);
      if (!json.empty()) chunk(i, json, "null", out);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      usage_.add(0, finished->usage);
      chunk(i, "{}", json_quote(finish_reason(*finished, choices_[i].calls)), out);
    }
  }

  void end(std::string& out) override { frame_.end(usage_, out); }
  void fail(const Refusal& refusal, std::string& out) override {
    append_event(out, openai_error(refusal));
  }

 private:
  struct Choice {
    TokenList tokens;
    int calls = 0;
  };

  void chunk(std::size_t i, std::string_view delta, std::string_view finish, std::string& out) {
    frame_.chunk(str("{\"index\":", i, ",\"delta\":", delta, ",\"logprobs\":",
                     choices_[i].tokens.take(), ",\"finish_reason\":", finish, "}"),
                 out);
  }

  ReplyFrame frame_;
  bool tokens_;
  std::vector<Choice> choices_;
  UsageTotal usage_;
};

class WholeWriter final : public ReplyWriter {
 public:
  WholeWriter(const ReplyHead& head, const ChatReplyForm& form)
      : frame_(id_of(head), "chat.completion", head, false),
        tokens_(form.tokens),
        choices_(static_cast<std::size_t>(form.choices)) {}

  void start(int, std::string&) override {}

  void take(int index, const ChatEvent& event, std::string&) override {
    Choice& choice = choices_[static_cast<std::size_t>(index)];
    if (const auto* token = std::get_if<TokenInfo>(&event)) {
      if (tokens_) choice.tokens.add(*token);
    } else if (const auto* delta = std::get_if<ReplyDelta>(&event)) {
      append(choice.message, *delta);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      usage_.add(0, finished->usage);
      choice.finished = *finished;
    }
  }

  void end(std::string& out) override {
    std::string choices;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) choices += ',';
      append_choice(i, choices_[i], choices);
    }
    frame_.whole(choices, usage_, out);
  }
  void fail(const Refusal& refusal, std::string& out) override { out += openai_error(refusal); }

 private:
  struct Choice {
    Message message;
    TokenList tokens;
    Finished finished;
  };

  // The calls that were not cut off, with commas between them.
  static std::string calls_of(const Choice& choice) {
    const auto& cut = choice.finished.unfinished_calls;
    std::string out;
    for (std::size_t i = 0; i < choice.message.tool_calls.size(); ++i) {
      if (std::find(cut.begin(), cut.end(), static_cast<int>(i)) != cut.end()) continue;
      const ToolCall& call = choice.message.tool_calls[i];
      if (!out.empty()) out += ',';
      out += str("{\"id\":", json_quote(call.id),
                 ",\"type\":\"function\",\"function\":{\"name\":", json_quote(call.name),
                 ",\"arguments\":", json_quote(call.arguments), "}}");
    }
    return out;
  }

  static void append_choice(std::size_t index, Choice& choice, std::string& out) {
    const std::string calls = calls_of(choice);
    const std::string text = choice.message.text();
    const std::string& reasoning = choice.message.reasoning;
    const bool only_calls = text.empty() && !calls.empty();
    out += str("{\"index\":", index, ",\"message\":{\"role\":\"assistant\",\"content\":",
               only_calls ? "null" : json_quote(text), ",\"refusal\":null");
    if (!reasoning.empty()) out += str(",\"reasoning_content\":", json_quote(reasoning));
    if (!calls.empty()) out += str(",\"tool_calls\":[", calls, "]");
    const int begun = static_cast<int>(choice.message.tool_calls.size());
    out += str("},\"logprobs\":", choice.tokens.take(),
               ",\"finish_reason\":", json_quote(finish_reason(choice.finished, begun)), "}");
  }

  ReplyFrame frame_;
  bool tokens_;
  std::vector<Choice> choices_;
  UsageTotal usage_;
};

}  // namespace

std::unique_ptr<ReplyWriter> make_chat_writer(const ReplyHead& head, const ChatReplyForm& form) {
  if (form.stream) return std::make_unique<StreamWriter>(head, form);
  return std::make_unique<WholeWriter>(head, form);
}

}  // namespace plumb::wire
