#include "text/deepseek_v4_reply.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "text/chat_json.h"
#include "text/deepseek_v4_literals.h"
#include "text/dsml_scan.h"

namespace plumb::deepseek_v4 {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

// Where a tag that ends in the mark at text[mark] begins ("<" or "</" before it); npos if none.
std::size_t tag_start(std::string_view text, std::size_t mark) {
  if (mark >= 1 && text[mark - 1] == '<') return mark - 1;
  if (mark >= 2 && text.substr(mark - 2, 2) == "</") return mark - 2;
  return kNone;
}

// The bytes at the end of `text` that the next token could make part of a tag's beginning.
std::size_t tag_tail(std::string_view text) {
  if (text.ends_with("</")) return 2;
  return text.ends_with('<') ? 1 : 0;
}

// A tool-call block takes up to two newlines before it into the markup.
std::size_t without_newlines(std::string_view text, std::size_t end) {
  std::size_t start = end;
  while (start > 0 && end - start < 2 && text[start - 1] == '\n') --start;
  return start;
}

// What the control token at mark[0] spells.
std::string_view spelling(std::string_view mark) {
  switch (mark.front()) {
    case kDsmlMark:
      return kDsml;
    case kThinkMark:
      return kThink;
    case kEndThinkMark:
      return kEndThink;
    default:
      return mark.substr(1, mark_size(mark) - 2);
  }
}

}  // namespace

ReplyReader::ReplyReader(const Tokenizer& tokenizer, const ReplyTokens& tokens,
                         bool starts_in_reasoning, CallIds call_ids)
    : tokenizer_(tokenizer),
      tokens_(tokens),
      call_ids_(std::move(call_ids)),
      decoder_(tokenizer),
      state_(starts_in_reasoning ? State::kReasoning : State::kContent) {}

void ReplyReader::push(Token token, Deltas& out) {
  if (state_ == State::kEnded) return;
  if (token == tokens_.eos) return finish(out);
  if (tokenizer_.is_control(token)) {
    buffer_ += decoder_.finish();
    append_control(token);
  } else {
    buffer_ += decoder_.push(token);
  }
  run(out);
}

void ReplyReader::append_control(Token token) {
  if (token == tokens_.dsml) {
    buffer_ += kDsmlMark;
  } else if (token == tokens_.think) {
    buffer_ += kThinkMark;
  } else if (token == tokens_.end_think) {
    buffer_ += kEndThinkMark;
  } else {
    buffer_ += kNameMark;
    buffer_ += tokenizer_.bytes(token);
    buffer_ += kNameEndMark;
  }
}

void ReplyReader::finish(Deltas& out) {
  if (state_ == State::kEnded) return;
  buffer_ += decoder_.finish();
  run(out);
  switch (state_) {
    case State::kReasoning:
    case State::kContent:
      // What is left is either text that might have begun a tag, or a tag that was cut off.
      if (find_mark(rest()) == kNone) {
        emit_text(rest(), out);
      } else {
        lost_markup_ = true;
      }
      break;
    case State::kBlock:
      lost_markup_ = lost_markup_ || !rest().empty();
      break;
    case State::kCall:
    case State::kValue:
      break_call();
      break;
    case State::kBrokenCall:
    case State::kAfterBlock:
    case State::kEnded:
      break;
  }
  state_ = State::kEnded;
  buffer_.clear();
  head_ = 0;
}

void ReplyReader::run(Deltas& out) {
  while (step(out)) {
  }
  buffer_.erase(0, head_);
  head_ = 0;
}

bool ReplyReader::step(Deltas& out) {
  switch (state_) {
    case State::kReasoning:
    case State::kContent:
      return step_text(out);
    case State::kBlock:
      return step_block(out);
    case State::kCall:
      return step_call(out);
    case State::kValue:
      return step_value(out);
    case State::kBrokenCall:
      return step_broken_call();
    case State::kAfterBlock:
      return step_after_block();
    case State::kEnded:
      break;
  }
  return false;
}

// --- Reasoning and content
// ------------------------------------------------------------------------

bool ReplyReader::step_text(Deltas& out) {
  const std::string_view text = rest();
  const std::size_t mark = find_mark(text);
  if (mark != kNone) return step_text_mark(mark, out);
  const std::size_t tag = text.size() - (text.ends_with('<') ? 1 : 0);
  const std::size_t held = text.size() - without_newlines(text, tag);
  emit_text(text.substr(0, text.size() - held), out);
  consume(text.size() - held);
  return false;
}

bool ReplyReader::step_text_mark(std::size_t mark, Deltas& out) {
  const std::string_view text = rest();
  if (text[mark] != kDsmlMark) {
    emit_text(text.substr(0, mark), out);
    const bool opens = text[mark] == kThinkMark && state_ == State::kContent;
    const bool closes = text[mark] == kEndThinkMark && state_ == State::kReasoning;
    if (opens || closes) {
      state_ = opens ? State::kReasoning : State::kContent;
      segment_empty_ = true;
    }
    consume(mark + mark_size(text.substr(mark)));
    return true;
  }
  const std::size_t tag = mark > 0 && text[mark - 1] == '<' ? mark - 1 : kNone;
  // Reasoning may quote a tag in the middle of a line; a call that interrupts it starts a line.
  const bool line_start = tag != kNone && (tag == 0 ? segment_empty_ : text[tag - 1] == '\n');
  const bool may_open = tag != kNone && (line_start || state_ == State::kContent);
  const Match opener = may_open ? match_opener(text.substr(mark + 1)) : Match::kNo;
  if (opener == Match::kNo) {
    emit_text(text.substr(0, mark), out);
    emit_text(kDsml, out);
    consume(mark + 1);
    return true;
  }
  const std::size_t start = without_newlines(text, tag);
  emit_text(text.substr(0, start), out);
  consume(start);
  if (opener == Match::kPartial) return false;
  state_ = State::kBlock;
  return true;
}

// --- Tool calls
// -----------------------------------------------------------------------------------

bool ReplyReader::step_block(Deltas& out) {
  skip_filler();
  const std::string_view text = rest();
  const TagMatch tag = match_tag(text);
  switch (tag.tag) {
    case Tag::kPartial:
      return false;
    case Tag::kBlock:  // the one that opened this state, or a repetition
    case Tag::kInvokeEnd:
    case Tag::kParameterEnd:
    case Tag::kOtherEnd:
      consume(tag.size);
      return true;
    case Tag::kBlockEnd:
      consume(tag.size);
      state_ = State::kAfterBlock;
      return true;
    case Tag::kInvoke:
      return open_call(tag.size, out);
    case Tag::kParameter:
    case Tag::kOther:
      lost_markup_ = true;
      consume(tag.size);
      return true;
    case Tag::kNone:
      break;
  }
  state_ = State::kAfterBlock;  // the block was never closed, and an answer follows
  return true;
}

bool ReplyReader::open_call(std::size_t header, Deltas& out) {
  const Header parsed = match_invoke_header(rest().substr(header));
  if (parsed.match == Match::kPartial) return false;
  if (parsed.match == Match::kNo) {
    consume(header);
    lost_markup_ = true;
    state_ = State::kBrokenCall;
    return true;
  }
  consume(header + parsed.size);
  state_ = State::kCall;
  call_open_ = true;
  keys_.clear();
  const int index = calls_++;
  // The brace goes out at once: a call cut off before its first parameter is not valid JSON either.
  out.push_back(ToolCallDelta{index, call_ids_(index), parsed.name, "{"});
  return true;
}

bool ReplyReader::step_call(Deltas& out) {
  skip_filler();
  const TagMatch tag = match_tag(rest());
  switch (tag.tag) {
    case Tag::kPartial:
      return false;
    case Tag::kParameter:
      return open_parameter(tag.size, out);
    case Tag::kParameterEnd:
      consume(tag.size);
      return true;
    case Tag::kInvokeEnd:
      consume(tag.size);
      close_call(out);
      return true;
    case Tag::kInvoke:  // the end tag is missing; the parameters before were complete
    case Tag::kBlockEnd:
      close_call(out);
      return true;
    case Tag::kNone:
    case Tag::kBlock:
    case Tag::kOther:
    case Tag::kOtherEnd:
      break;
  }
  break_call();
  return true;
}

bool ReplyReader::open_parameter(std::size_t header, Deltas& out) {
  const Header parsed = match_parameter_header(rest().substr(header));
  if (parsed.match == Match::kPartial) return false;
  consume(header);
  if (parsed.match == Match::kNo) {
    break_call();
    return true;
  }
  consume(parsed.size);
  state_ = State::kValue;
  key_ = parsed.name;
  value_is_string_ = parsed.has_type && parsed.is_string;
  value_is_duplicate_ = keys_.contains(key_);
  value_.clear();
  if (value_is_string_ && !value_is_duplicate_) {
    emit_arguments((keys_.empty() ? "" : ", ") + json_quote(key_) + ": \"", out);
  }
  return true;
}

bool ReplyReader::step_value(Deltas& out) {
  const std::string_view text = rest();
  const std::size_t mark = find_mark(text);
  if (mark == kNone) {
    const std::size_t ready = text.size() - tag_tail(text);
    emit_value(text.substr(0, ready), out);
    consume(ready);
    return false;
  }
  if (text[mark] == kDsmlMark && mark >= 2 && text.substr(mark - 2, 2) == "</") {
    const TagMatch tag = match_tag(text.substr(mark - 2));
    if (tag.tag == Tag::kPartial || tag.tag == Tag::kParameterEnd) {
      emit_value(text.substr(0, mark - 2), out);
      consume(mark - 2);
      if (tag.tag == Tag::kPartial) return false;
      consume(tag.size);
      close_parameter(out);
      return true;
    }
  }
  emit_value(text.substr(0, mark), out);
  emit_value(spelling(text.substr(mark)), out);
  consume(mark + mark_size(text.substr(mark)));
  return true;
}

void ReplyReader::close_parameter(Deltas& out) {
  state_ = State::kCall;
  if (value_is_duplicate_) {
    lost_markup_ = true;
    return;
  }
  if (value_is_string_) {
    emit_arguments("\"", out);
  } else {
    // One level less, because the arguments put an object around the value.
    JsonLimits limits = kArgumentLimits;
    --limits.max_depth;
    const std::string value = parse_json(value_, key_, limits) ? value_ : json_quote(value_);
    emit_arguments((keys_.empty() ? "" : ", ") + json_quote(key_) + ": " + value, out);
  }
  keys_.insert(key_);
}

void ReplyReader::close_call(Deltas& out) {
  emit_arguments("}", out);
  call_open_ = false;
  state_ = State::kBlock;
}

void ReplyReader::break_call() {
  lost_markup_ = true;
  if (call_open_) unfinished_.push_back(calls_ - 1);
  call_open_ = false;
  state_ = State::kBrokenCall;
}

bool ReplyReader::step_broken_call() {
  const std::string_view text = rest();
  const std::size_t mark = find_mark(text);
  if (mark == kNone) {
    consume(text.size() - tag_tail(text));
    return false;
  }
  const std::size_t start = text[mark] == kDsmlMark ? tag_start(text, mark) : kNone;
  if (start != kNone) {
    const TagMatch tag = match_tag(text.substr(start));
    if (tag.tag == Tag::kPartial) {
      consume(start);
      return false;
    }
    if (tag.tag == Tag::kInvoke || tag.tag == Tag::kInvokeEnd || tag.tag == Tag::kBlockEnd) {
      consume(start);
      state_ = State::kBlock;
      return true;
    }
  }
  consume(mark + mark_size(text.substr(mark)));
  return true;
}

bool ReplyReader::step_after_block() {
  skip_filler();
  if (rest().empty()) return false;
  state_ = State::kContent;
  segment_empty_ = true;
  return true;
}

// --- Output
// ---------------------------------------------------------------------------------------

void ReplyReader::emit_text(std::string_view text, Deltas& out) {
  if (text.empty()) return;
  segment_empty_ = false;
  if (state_ == State::kReasoning) {
    out.push_back(ReasoningDelta{std::string(text)});
  } else {
    out.push_back(ContentDelta{std::string(text)});
  }
}

void ReplyReader::emit_value(std::string_view text, Deltas& out) {
  if (text.empty() || value_is_duplicate_) return;
  if (!value_is_string_) {
    value_ += text;
    return;
  }
  const std::string quoted = json_quote(text);
  emit_arguments(quoted.substr(1, quoted.size() - 2), out);
}

void ReplyReader::emit_arguments(std::string fragment, Deltas& out) {
  out.push_back(ToolCallDelta{calls_ - 1, {}, {}, std::move(fragment)});
}

// Between tags: white space, the rest of a tag's end, and control tokens that mean nothing here.
void ReplyReader::skip_filler() {
  for (;;) {
    const std::string_view text = rest();
    if (text.empty() || text.front() == kDsmlMark) return;
    if (is_mark(text.front())) {
      consume(mark_size(text));
    } else if (is_space(text.front()) || text.front() == '>') {
      consume(1);
    } else {
      return;
    }
  }
}

}  // namespace plumb::deepseek_v4
