// The editor on a terminal: libedit, with UTF-8, bracketed paste and an interruptible wait.
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string>
#include <utility>

#include "apps/line_source.h"
#include "base/interrupt.h"
#include "base/utf8.h"

namespace plumb {
namespace {

static_assert(sizeof(wchar_t) == 4, "libedit's characters are taken for code points");

constexpr int kRemembered = 2000;
constexpr int kLookMs = 1000;  // as in line_source.cc
constexpr std::size_t kLongestPaste = std::size_t{16} << 20;
constexpr char kCtrlD = '\004';
constexpr char kNothing = '\034';  // bound to nothing
constexpr std::wstring_view kPasteEnd = L"\033[201~";

std::atomic<bool> g_resized{false};

std::wstring widen(std::string_view text) {
  std::wstring out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    if (step.length == 0) break;
    // libedit ends its strings at zero.
    if (step.code != 0) out += static_cast<wchar_t>(step.code);
    at += step.length;
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) append_utf8(out, static_cast<char32_t>(c));
  return out;
}

// libedit asks the locale how wide a character is and how to write it. Where no locale is set up (a
// bare system), the one that every Debian has will do.
void use_utf8_locale() {
  ::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) ::setlocale(LC_CTYPE, "C.UTF-8");
}

// Only from here on do waits end when the window changes its size.
void watch_window_size() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_resized.store(true, std::memory_order_relaxed); };
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGWINCH, &action, nullptr);
}

bool speaks_escapes() {
  const char* term = std::getenv("TERM");
  return term != nullptr && *term != '\0' && std::strcmp(term, "dumb") != 0;
}

class LineEditor final : public LineSource {
 public:
  LineEditor() : edit_(::el_init("plumb", stdin, stdout, stderr)), history_(::history_winit()) {}
  ~LineEditor() override {
    if (edit_ != nullptr) ::el_end(edit_);
    if (history_ != nullptr) ::history_wend(history_);
  }

  bool start(const std::vector<std::string>& past);
  Line read(const std::string& prompt) override;
  void remember(const std::string& text) override;

 private:
  static LineEditor& of(EditLine* edit) {
    void* self = nullptr;
    ::el_wget(edit, EL_CLIENTDATA, &self);
    return *static_cast<LineEditor*>(self);
  }
  static wchar_t* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }
  static int next_char(EditLine* edit, wchar_t* out) { return of(edit).next(out); }
  static unsigned char paste(EditLine* edit, wint_t) { return of(edit).take_paste(); }

  void bind_keys();
  int next(wchar_t* out);
  int next_byte();
  unsigned char take_paste();
  std::string typed() const;

  EditLine* const edit_;
  HistoryW* const history_;
  const bool escapes_ = speaks_escapes();
  std::wstring prompt_;
  std::string ahead_;  // bytes read, not yet taken
  std::size_t ahead_at_ = 0;
  bool early_ = false;  // what comes now was typed before this line was asked for
  bool interrupted_ = false;
  bool pasted_lines_ = false;
  std::string thrown_away_;
};

bool LineEditor::start(const std::vector<std::string>& past) {
  if (edit_ == nullptr || history_ == nullptr) return false;
  HistEventW event;
  ::history_w(history_, &event, H_SETSIZE, kRemembered);
  ::history_w(history_, &event, H_SETUNIQUE, 1);
  ::el_wset(edit_, EL_CLIENTDATA, this);
  ::el_wset(edit_, EL_EDITOR, L"emacs");
  ::el_wset(edit_, EL_PROMPT, &LineEditor::prompt_of);
  ::el_wset(edit_, EL_GETCFN, &LineEditor::next_char);
  ::el_wset(edit_, EL_HIST, history_w, history_);
  ::el_wset(edit_, EL_ADDFN, L"plumb-paste", L"Insert a bracketed paste", &LineEditor::paste);
  // As typed: a pasted carriage return and line feed are then one line end.
  ::el_wset(edit_, EL_SETTY, L"-d", L"-icrnl", L"-inlcr", nullptr);
  bind_keys();
  for (const std::string& text : past) remember(text);
  return true;
}

void LineEditor::bind_keys() {
  static constexpr std::pair<const wchar_t*, const wchar_t*> kKeys[] = {
      {L"\\e[200~", L"plumb-paste"},   {L"^R", L"em-inc-search-prev"},
      {L"^W", L"ed-delete-prev-word"}, {L"\\e[H", L"ed-move-to-beg"},
      {L"\\e[F", L"ed-move-to-end"},   {L"\\e[1~", L"ed-move-to-beg"},
      {L"\\e[4~", L"ed-move-to-end"},  {L"\\e[3~", L"ed-delete-next-char"},
      {L"\\e[1;5C", L"em-next-word"},  {L"\\e[1;5D", L"ed-prev-word"},
      {L"\\e[A", L"ed-prev-history"},  {L"\\e[B", L"ed-next-history"},
      {L"\\e[C", L"ed-next-char"},     {L"\\e[D", L"ed-prev-char"},
  };
  for (const auto& [key, action] : kKeys) ::el_wset(edit_, EL_BIND, key, action, nullptr);
}

std::string LineEditor::typed() const {
  const LineInfoW* line = ::el_wline(edit_);
  return narrow({line->buffer, static_cast<std::size_t>(line->lastchar - line->buffer)});
}

// The next byte, or -1: interrupted, or the terminal is gone. A zero is what the kernel makes of a
// Ctrl-D pressed before the editor took the terminal over, and later a Ctrl-Space. libedit would read
// "insert the next key as it is": it binds the terminal's disabled keys, whose code is zero, too.
int LineEditor::next_byte() {
  while (ahead_at_ == ahead_.size()) {
    if (interrupted()) {
      interrupted_ = true;
      return -1;
    }
    if (g_resized.exchange(false)) ::el_resize(edit_);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, early_ ? 0 : kLookMs) <= 0) {
      early_ = false;
      continue;
    }
    char chunk[4096];
    const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return -1;
    ahead_.assign(chunk, static_cast<std::size_t>(n));
    ahead_at_ = 0;
    std::replace(ahead_.begin(), ahead_.end(), '\0', early_ ? kCtrlD : kNothing);
  }
  return static_cast<unsigned char>(ahead_[ahead_at_++]);
}

int LineEditor::next(wchar_t* out) {
  std::string bytes;
  do {
    const int byte = next_byte();
    if (byte < 0) {
      if (interrupted_) thrown_away_ = typed();
      return interrupted_ ? -1 : 0;
    }
    bytes += static_cast<char>(byte);
  } while (complete_utf8_prefix(bytes) == 0);
  const Utf8Step step = decode_utf8(bytes, 0);
  // The first byte of the next character may show that this one is broken.
  ahead_at_ -= bytes.size() - step.length;
  *out = static_cast<wchar_t>(step.code);
  return 1;
}

unsigned char LineEditor::take_paste() {
  std::wstring text;
  while (!text.ends_with(kPasteEnd)) {
    wchar_t c = 0;
    if (::el_wgetc(edit_, &c) != 1) return CC_EOF;
    if (text.size() < kLongestPaste && c != 0) text += c;
  }
  text.resize(text.size() - kPasteEnd.size());
  // Terminals send the Enter key's code for line ends.
  std::wstring lines;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == L'\r') {
      lines += L'\n';
      if (i + 1 < text.size() && text[i + 1] == L'\n') ++i;
    } else if (text[i] == L'\t' || text[i] == L'\n' || text[i] >= L' ') {
      lines += text[i];
    }
  }
  if (lines.empty()) return CC_REFRESH;
  if (lines.find(L'\n') != std::wstring::npos) pasted_lines_ = true;
  return ::el_winsertstr(edit_, lines.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

Line LineEditor::read(const std::string& prompt) {
  prompt_ = widen(prompt);
  interrupted_ = pasted_lines_ = false;
  early_ = true;
  thrown_away_.clear();
  const auto say = [&](const char* code) {
    if (escapes_) std::fputs(code, stdout);
    std::fflush(stdout);
  };
  say("\033[?2004h");
  int count = 0;
  const wchar_t* text = ::el_wgets(edit_, &count);
  say("\033[?2004l");
  if (text == nullptr || count <= 0) {
    std::fputc('\n', stdout);
    std::fflush(stdout);
    if (!interrupted_) return Line{Line::Kind::kEnd, {}, false};
    return Line{Line::Kind::kInterrupted, std::move(thrown_away_), false};
  }
  Line line{Line::Kind::kText, narrow({text, static_cast<std::size_t>(count)}), pasted_lines_};
  if (line.text.ends_with('\n')) line.text.pop_back();
  // One taken back from memory may hold several lines too.
  line.pasted = line.pasted || line.text.find('\n') != std::string::npos;
  return line;
}

void LineEditor::remember(const std::string& text) {
  HistEventW event;
  ::history_w(history_, &event, H_ENTER, widen(text).c_str());
}

}  // namespace

std::unique_ptr<LineSource> make_line_editor(const std::vector<std::string>& past) {
  use_utf8_locale();
  auto editor = std::make_unique<LineEditor>();
  if (!editor->start(past)) return nullptr;
  watch_window_size();
  return editor;
}

}  // namespace plumb
