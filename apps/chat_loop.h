// The conversation between a person and a session: prompts, commands, answers, sentences about what
// happened.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/chat_commands.h"
#include "apps/chat_session.h"
#include "apps/history_file.h"
#include "apps/line_source.h"
#include "apps/reply_view.h"
#include "base/progress.h"

namespace plumb {

struct ChatLoopOptions {
  bool interactive = false;  // a person types; otherwise every line of the input is a turn
  bool stats = false;        // after every answer
};

// Answers go to standard output, everything else to standard error. One thread.
class ChatLoop {
 public:
  ChatLoop(ChatSession& session, LineSource& source, HistoryFile& history, ChatLoopOptions options);

  // Until the input ends or somebody leaves. Returns the program's exit status.
  int run();
  // Before run(): as /load does. An error is the caller's to report.
  Status load(const std::string& file, bool with_state);

 private:
  enum class Next : unsigned char { kGoOn, kLeave };
  // What the last answer took.
  struct LastAnswer {
    Usage usage;
    std::uint64_t seed = 0;
  };

  std::string prompt() const;
  Next take(const Entry& entry);
  Next obey(const ChatCommand& command);
  void think(const std::string& argument);
  void system(const std::string& argument);
  void stats(const std::string& argument);
  void retry(const std::string& argument);
  void save(const std::string& argument);
  void load_command(const std::string& argument);

  // Shows the answer; asks for tool results and goes on as long as the model calls tools.
  void converse(Result<AnswerReport> report);
  std::optional<std::vector<Message>> ask_results(const std::vector<ToolCall>& calls);
  void conclude(const AnswerReport& report);
  std::string stats_text(const LastAnswer& answer) const;
  Watch watch();
  void see(const ChatEvent& event);
  void end_progress();

  void say(const std::string& sentence);  // to standard error, after what was shown
  void complain(const Error& error);

  ChatSession& session_;
  LineSource& source_;
  HistoryFile& history_;
  ChatLoopOptions options_;
  ReplyView view_;
  std::unique_ptr<Progress> progress_;
  int progress_from_ = 0;  // prompt tokens that were there already
  std::optional<LastAnswer> last_;
  int status_ = 0;
};

}  // namespace plumb
