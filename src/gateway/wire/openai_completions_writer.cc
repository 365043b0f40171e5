#include "gateway/wire/openai_completions_writer.h"

#include <set>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "gateway/wire/openai_error.h"
#include "gateway/wire/openai_reply.h"
#include "gateway/wire/sse.h"

namespace plumb::wire {
namespace {

std::string token_name(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

// Characters of text that comes in pieces.
class CharacterCount {
 public:
  void add(std::string_view bytes) {
    tail_ += bytes;
    const std::size_t end = complete_utf8_prefix(tail_);
    for (std::size_t at = 0; at < end; at += decode_utf8(tail_, at).length) ++complete_;
    tail_.erase(0, end);
  }
  std::size_t complete() const { return complete_; }

 private:
  std::string tail_;  // a character's first bytes
  std::size_t complete_ = 0;
};

// Log probabilities of the tokens that no chunk has shown yet, as four lists without brackets.
class TokenLists {
 public:
  void add(const TokenInfo& info) {
    if (!names_.empty()) {
      for (std::string* list : {&names_, &logprobs_, &tops_, &offsets_}) *list += ',';
    }
    names_ += json_quote(token_name(info.bytes));
    logprobs_ += logprob_text(info.logprob);
    tops_ += top_of(info);
    offsets_ += str(count_.complete());
    count_.add(info.bytes);
  }
  // "null" where there are none.
  std::string take() {
    if (names_.empty()) return "null";
    return str("{\"tokens\":[", std::exchange(names_, {}), "],\"token_logprobs\":[",
               std::exchange(logprobs_, {}), "],\"top_logprobs\":[", std::exchange(tops_, {}),
               "],\"text_offset\":[", std::exchange(offsets_, {}), "]}");
  }

 private:
  // The likeliest tokens by name, and the token itself. Of two with one name the likelier counts.
  static std::string top_of(const TokenInfo& info) {
    std::set<std::string> seen;
    std::string out;
    const auto add = [&](std::string_view bytes, float logprob) {
      const auto [name, fresh] = seen.insert(token_name(bytes));
      if (!fresh) return;
      if (!out.empty()) out += ',';
      out += str(json_quote(*name), ":", logprob_text(logprob));
    };
    for (const TokenOption& option : info.top) add(option.bytes, option.logprob);
    add(info.bytes, info.logprob);
    return str("{", out, "}");
  }

  std::string names_, logprobs_, tops_, offsets_;
  CharacterCount count_;
};

std::string choice_json(std::size_t index, std::string_view text, const std::string& logprobs,
                        std::string_view finish) {
  return str("{\"index\":", index, ",\"text\":", json_quote(text), ",\"logprobs\":", logprobs,
             ",\"finish_reason\":", finish.empty() ? "null" : json_quote(finish), "}");
}

// Both kinds of reply. Raw text has neither reasoning nor calls.
class Writer final : public ReplyWriter {
 public:
  Writer(const ReplyHead& head, CompletionReplyForm form)
      : form_(std::move(form)),
        frame_("cmpl-" + head.unique, "text_completion", head, form_.stream && form_.usage),
        choices_(static_cast<std::size_t>(form_.prompts * form_.answers)) {}

  void start(int, std::string& out) override {
    if (form_.echo.empty()) return;
    for (std::size_t i = 0; i < choices_.size(); ++i)
      add_text(i, form_.echo[i / static_cast<std::size_t>(form_.answers)], out);
  }

  void take(int index, const ChatEvent& event, std::string& out) override {
    const auto i = static_cast<std::size_t>(index);
    if (const auto* token = std::get_if<TokenInfo>(&event)) {
      if (form_.tokens) choices_[i].tokens.add(*token);
    } else if (const auto* delta = std::get_if<ReplyDelta>(&event)) {
      if (const auto* content = std::get_if<ContentDelta>(delta)) add_text(i, content->text, out);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      usage_.add(index / form_.answers, finished->usage);
      choices_[i].finish = finish_reason(*finished, 0);
      if (form_.stream) chunk(i, "", out);
    }
  }

  void end(std::string& out) override {
    if (form_.stream) return frame_.end(usage_, out);
    std::string choices;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      Choice& choice = choices_[i];
      if (i > 0) choices += ',';
      choices += choice_json(i, choice.text, choice.tokens.take(), choice.finish);
    }
    frame_.whole(choices, usage_, out);
  }

  void fail(const Refusal& refusal, std::string& out) override {
    if (form_.stream)
      append_event(out, openai_error(refusal));
    else
      out += openai_error(refusal);
  }

 private:
  struct Choice {
    std::string text;  // of a reply that is not streamed
    TokenLists tokens;
    std::string_view finish;
  };

  void add_text(std::size_t i, const std::string& text, std::string& out) {
    if (!form_.stream)
      choices_[i].text += text;
    else if (!text.empty())
      chunk(i, text, out);
  }
  void chunk(std::size_t i, std::string_view text, std::string& out) {
    frame_.chunk(choice_json(i, text, choices_[i].tokens.take(), choices_[i].finish), out);
  }

  CompletionReplyForm form_;
  ReplyFrame frame_;
  std::vector<Choice> choices_;
  UsageTotal usage_;
};

}  // namespace

std::unique_ptr<ReplyWriter> make_completion_writer(const ReplyHead& head,
                                                    CompletionReplyForm form) {
  return std::make_unique<Writer>(head, std::move(form));
}

}  // namespace plumb::wire
