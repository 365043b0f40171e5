// A reply as people see it while it is written.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "text/chat.h"

namespace plumb {

// What a stream can show: escape codes only on a terminal, colours only where they are wanted.
struct ViewStyle {
  bool terminal = false;
  bool colour = false;
};
// Looks at the stream, NO_COLOR and TERM.
ViewStyle style_of(std::FILE* stream);

// Control characters that could move a terminal's cursor or worse, as U+FFFD; line ends and tabs
// stay.
std::string harmless(std::string_view text);

// Shows one reply after the other: content as it is, tool calls by name with their arguments. On a
// terminal reasoning comes before it, dimmed (or between "(thinking)" and "(answer)" lines where
// nothing can be dimmed); otherwise it goes to standard error. One thread.
class ReplyView {
 public:
  ReplyView(std::FILE* out, ViewStyle style) : out_(out), style_(style) {}

  void show(const ReplyDelta& delta);
  // Ends the reply's last line and whatever style it was in.
  void end();

 private:
  enum class Part : unsigned char { kNothing, kReasoning, kContent, kCall };

  void turn_to(Part part);
  void write(std::string_view text);
  void write_aside(std::string_view text);
  void close_aside();
  void code(const char* escape);

  std::FILE* const out_;
  const ViewStyle style_;
  Part part_ = Part::kNothing;
  int call_ = -1;
  bool line_open_ = false;
  bool aside_open_ = false;
};

}  // namespace plumb
