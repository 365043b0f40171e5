// Where a chat's lines come from: an editor on a terminal, or a pipe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

struct Line {
  enum class Kind : std::uint8_t {
    kText,
    kInterrupted,  // Ctrl-C; `text` is what was thrown away
    kEnd,          // Ctrl-D, or the pipe has run dry
  };
  Kind kind = Kind::kEnd;
  std::string text;     // UTF-8 if the terminal speaks it; without the line end
  bool pasted = false;  // several lines arrived as one paste: never a command
};

// One thread.
class LineSource {
 public:
  virtual ~LineSource() = default;
  // Waits for one line. The prompt is plain text on one line.
  virtual Line read(const std::string& prompt) = 0;
  // Offers the text again with the arrow keys.
  virtual void remember(const std::string& text) = 0;
};

// Lines from standard input as they are; the prompt goes to standard error if `show_prompt`.
std::unique_ptr<LineSource> make_plain_source(bool show_prompt);

// A libedit editor on standard input and output, which must be terminals. `past` are remembered
// texts, oldest first. Sets the process's LC_CTYPE: call it before threads that look at it start.
// null when the terminal cannot be had.
std::unique_ptr<LineSource> make_line_editor(const std::vector<std::string>& past);

// One message: a line, or several joined by \n: a line that ends in a backslash goes on in the
// next, and """ opens a block that a line ending in """ closes. Interrupting throws all of it away.
struct Entry {
  Line::Kind kind = Line::Kind::kEnd;
  std::string text;
  bool discarded = false;  // with kInterrupted: something had been typed
  bool literal = false;    // a block or paste: never a command
};
Entry read_entry(LineSource& source, const std::string& prompt);

}  // namespace plumb
