#include "apps/history_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/file.h"

namespace plumb {
namespace {

constexpr std::size_t kKept = 2000;
constexpr std::size_t kTooMany = 2 * kKept;
constexpr std::size_t kLongestEntry = 64 << 10;
constexpr std::uint64_t kLargestFile = std::uint64_t{256} << 20;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + '\n';
}

std::string unescaped(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool escape = line[i] == '\\' && i + 1 < line.size();
    if (escape) ++i;
    out += escape && line[i] == 'n' ? '\n' : line[i];
  }
  return out;
}

}  // namespace

std::filesystem::path default_history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path base;
  // The specification asks to ignore relative paths.
  if (state != nullptr && *state == '/') {
    base = state;
  } else if (home != nullptr && *home == '/') {
    base = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  return base / "plumb" / "chat_history";
}

std::vector<std::string> HistoryFile::load() {
  std::vector<std::string> entries;
  if (path_.empty()) return entries;
  const Result<std::string> text = read_file(path_, kLargestFile);
  if (!text) return entries;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end > 0) entries.push_back(unescaped(rest.substr(0, end)));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (entries.size() <= kTooMany) return entries;
  entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kKept));
  std::string kept;
  for (const std::string& entry : entries) kept += escaped(entry);
  const mode_t mask = ::umask(0077);
  static_cast<void>(write_file_atomically(path_, kept).has_value());
  ::umask(mask);
  return entries;
}

void HistoryFile::append(const std::string& text) {
  if (path_.empty() || text.empty() || text.size() > kLongestEntry) return;
  std::error_code ignored;
  std::filesystem::create_directories(path_.parent_path(), ignored);
  const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  // One write, so that chats side by side do not mix their lines.
  const std::string line = escaped(text);
  if (::write(fd, line.data(), line.size()) < 0) {
    // A full disk costs the entry, not the chat.
  }
  ::close(fd);
}

}  // namespace plumb
