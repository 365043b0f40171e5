#include "apps/line_source.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/interrupt.h"

namespace plumb {
namespace {

constexpr std::string_view kFence = "\"\"\"";
// A signal that comes between looking and waiting is seen after this long at the latest.
constexpr int kLookMs = 1000;

class PlainSource final : public LineSource {
 public:
  explicit PlainSource(bool show_prompt) : show_prompt_(show_prompt) {}

  Line read(const std::string& prompt) override {
    if (show_prompt_) {
      std::fputs(prompt.c_str(), stderr);
      std::fflush(stderr);
    }
    for (;;) {
      const std::size_t end = buffer_.find('\n', looked_);
      if (end != std::string::npos) return take(end, 1);
      looked_ = buffer_.size();
      if (ended_) {
        if (buffer_.empty()) return Line{Line::Kind::kEnd, {}, false};
        return take(buffer_.size(), 0);
      }
      if (interrupted()) {
        return Line{Line::Kind::kInterrupted, std::exchange(buffer_, std::string()), false};
      }
      fill();
    }
  }

  void remember(const std::string&) override {}

 private:
  Line take(std::size_t end, std::size_t separator) {
    Line line{Line::Kind::kText, buffer_.substr(0, end), false};
    buffer_.erase(0, end + separator);
    looked_ = 0;
    if (line.text.ends_with('\r')) line.text.pop_back();
    return line;
  }

  void fill() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kLookMs) <= 0) return;
    char chunk[4096];
    const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (n > 0) buffer_.append(chunk, static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) ended_ = true;
  }

  const bool show_prompt_;
  std::string buffer_;
  std::size_t looked_ = 0;  // no line end before this
  bool ended_ = false;
};

// Trailing line ends come from pasting, never from wanting them.
void trim_end(std::string& text) {
  while (text.ends_with('\n')) text.pop_back();
}

}  // namespace

std::unique_ptr<LineSource> make_plain_source(bool show_prompt) {
  return std::make_unique<PlainSource>(show_prompt);
}

Entry read_entry(LineSource& source, const std::string& prompt) {
  const std::string more = std::string(prompt.size() > 4 ? prompt.size() - 4 : 0, ' ') + "... ";
  Entry entry;
  bool fenced = false, first = true;
  for (;;) {
    Line line = source.read(first ? prompt : more);
    entry.kind = line.kind;
    if (line.kind == Line::Kind::kInterrupted) {
      entry.discarded = !first || !line.text.empty();
      entry.text.clear();
      return entry;
    }
    if (line.kind == Line::Kind::kEnd) {
      // What a pipe's last lines left open is still a message.
      if (!first) entry.kind = Line::Kind::kText;
      break;
    }
    if (first && line.text.starts_with(kFence)) {
      fenced = entry.literal = true;
      line.text.erase(0, kFence.size());
    }
    entry.literal = entry.literal || line.pasted;
    bool open = false;
    if (fenced) {
      open = !line.text.ends_with(kFence);
      if (!open) line.text.resize(line.text.size() - kFence.size());
    } else if (line.text.ends_with('\\') && !line.pasted) {
      open = true;
      line.text.back() = '\n';
    }
    entry.text += line.text;
    if (!open) break;
    // A fence alone on its line opens the block and is no line of it.
    if (fenced && !(first && line.text.empty())) entry.text += '\n';
    first = false;
  }
  trim_end(entry.text);
  if (entry.text.find('\n') != std::string::npos) entry.literal = true;
  return entry;
}

}  // namespace plumb
