// What was typed into chats before, in a file of the user's own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace plumb {

// Where the file lies: $XDG_STATE_HOME/plumb/chat_history, else ~/.local/state/plumb/chat_history.
// Empty when there is no home.
std::filesystem::path default_history_path();

// One entry per line, \n and \\ escaped; readable by its owner only. Losing it is no failure, so
// nothing here reports one.
class HistoryFile {
 public:
  // An empty path: nothing is read or kept.
  explicit HistoryFile(std::filesystem::path path) : path_(std::move(path)) {}

  // Oldest first. Shortens a file that has grown far beyond what anybody looks through.
  std::vector<std::string> load();
  void append(const std::string& text);

 private:
  const std::filesystem::path path_;
};

}  // namespace plumb
