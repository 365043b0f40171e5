#include "apps/reply_view.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/utf8.h"

namespace plumb {
namespace {

bool is_control(char32_t c) {
  return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

bool set_and_not_empty(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

}  // namespace

ViewStyle style_of(std::FILE* stream) {
  ViewStyle style;
  style.terminal = ::isatty(::fileno(stream)) != 0;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || *term == '\0' || std::strcmp(term, "dumb") == 0;
  style.colour = style.terminal && !dumb && !set_and_not_empty("NO_COLOR");
  return style;
}

std::string harmless(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    if (!step.valid || is_control(step.code)) {
      append_utf8(out, kReplacementCharacter);
    } else {
      out.append(text.substr(at, step.length));
    }
    at += step.length;
  }
  return out;
}

void ReplyView::code(const char* escape) {
  if (style_.colour) std::fputs(escape, out_);
}

void ReplyView::write(std::string_view text) {
  if (text.empty()) return;
  // A pipe gets the bytes as they are; a terminal would obey them.
  const std::string shown = style_.terminal ? harmless(text) : std::string(text);
  std::fwrite(shown.data(), 1, shown.size(), out_);
  std::fflush(out_);
  line_open_ = !shown.ends_with('\n');
}

void ReplyView::write_aside(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  aside_open_ = !text.ends_with('\n');
}

void ReplyView::close_aside() {
  if (aside_open_) write_aside("\n");
}

void ReplyView::turn_to(Part part) {
  close_aside();
  if (part == part_) return;
  const Part before = part_;
  part_ = part;
  if (before == Part::kReasoning) code("\033[0m");
  if (before != Part::kNothing) write(line_open_ ? "\n" : "");
  if (part == Part::kReasoning) {
    code("\033[2m");
    if (!style_.colour) write("(thinking)\n");
  } else if (before == Part::kReasoning) {
    write(style_.colour ? "\n" : "(answer)\n");
  }
}

void ReplyView::show(const ReplyDelta& delta) {
  if (const auto* reasoning = std::get_if<ReasoningDelta>(&delta)) {
    if (reasoning->text.empty()) return;
    if (!style_.terminal) return write_aside(reasoning->text);
    turn_to(Part::kReasoning);
    write(reasoning->text);
  } else if (const auto* content = std::get_if<ContentDelta>(&delta)) {
    if (content->text.empty()) return;
    turn_to(Part::kContent);
    write(content->text);
  } else if (const auto* call = std::get_if<ToolCallDelta>(&delta)) {
    turn_to(Part::kCall);
    if (call->index != call_) {
      if (line_open_) write("\n");
      write("(calls " + call->name + ") ");
      call_ = call->index;
    }
    write(call->arguments);
  }
}

void ReplyView::end() {
  close_aside();
  if (part_ == Part::kReasoning) code("\033[0m");
  part_ = Part::kNothing;
  call_ = -1;
  if (line_open_) write("\n");
  std::fflush(out_);
}

}  // namespace plumb
