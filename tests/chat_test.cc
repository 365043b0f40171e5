// `plumb chat` as a person uses it: on a terminal (a pseudo-terminal here) and through pipes, with
// a small random model.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"
#include "gateway/chat_file.h"

namespace plumb {
namespace {

using Clock = std::chrono::steady_clock;
using Arguments = std::vector<std::string>;
using Environment = std::vector<std::pair<std::string, std::string>>;

// Far beyond what anything takes; only a failure waits so long.
constexpr std::chrono::seconds kPatience{60};
constexpr std::size_t kShown = 2000;  // bytes of a failed terminal
constexpr std::string_view kEscape = "\033";
constexpr std::string_view kCtrlC = "\003";
constexpr std::string_view kCtrlD = "\004";

[[noreturn]] void become_plumb(Arguments arguments, const Environment& environment) {
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "xterm", 1);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  arguments.insert(arguments.begin(), {PLUMB_PROGRAM, "chat"});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(PLUMB_PROGRAM, argv.data());
  ::_exit(127);
}

int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// A chat on a terminal of its own.
class Terminal {
 public:
  Terminal(const Arguments& arguments, const Environment& environment) {
    winsize size{};
    size.ws_row = 40;
    size.ws_col = 200;
    pid_ = ::forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ == 0) become_plumb(arguments, environment);
  }
  ~Terminal() {
    if (fd_ >= 0) ::close(fd_);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void send(std::string_view text) {
    ASSERT_EQ(::write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  // Waits for `text` and returns what was shown before it since the last expect().
  std::string expect(std::string_view text) {
    const auto deadline = Clock::now() + kPatience;
    for (;;) {
      const std::size_t at = shown_.find(text, seen_);
      if (at != std::string::npos) {
        std::string before = shown_.substr(seen_, at - seen_);
        seen_ = at + text.size();
        return before;
      }
      if (!read_some(deadline)) {
        const std::size_t last = std::max(seen_, shown_.size() - std::min(shown_.size(), kShown));
        ADD_FAILURE() << "\"" << text << "\" did not come after \"" << shown_.substr(last) << "\"";
        return {};
      }
    }
  }

  // Sends a line and returns what was shown from its end to the next prompt.
  std::string ask(std::string_view line, std::string_view prompt) {
    ready();
    send(line);
    send("\r");
    expect("\033[?2004l");
    std::string answer = expect("\033[?2004h");
    expect(prompt);
    return answer;
  }

  // Waits for the program to end; -1 when it does not.
  int status() {
    const auto deadline = Clock::now() + kPatience;
    while (Clock::now() < deadline) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return exit_status(status);
      }
      if (!read_some(Clock::now() + std::chrono::milliseconds(100))) ::poll(nullptr, 0, 10);
    }
    ADD_FAILURE() << "The program does not end after \""
                  << shown_.substr(shown_.size() - std::min(shown_.size(), kShown)) << "\"";
    return -1;
  }

  const std::string& shown() const { return shown_; }

 private:
  // Waits until the editor has taken the terminal over: keys pressed before pass through its old mode.
  void ready() {
    const auto deadline = Clock::now() + std::chrono::seconds(2);
    termios mode{};
    while (Clock::now() < deadline && ::tcgetattr(fd_, &mode) == 0 && (mode.c_lflag & ICANON) != 0) {
      ::poll(nullptr, 0, 2);
    }
  }
  bool read_some(Clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd input{fd_, POLLIN, 0};
    if (left <= 0 || ::poll(&input, 1, static_cast<int>(left)) <= 0) return false;
    char chunk[4096];
    const ssize_t n = ::read(fd_, chunk, sizeof chunk);
    if (n <= 0) return false;
    shown_.append(chunk, static_cast<std::size_t>(n));
    return true;
  }

  int fd_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
};

struct Piped {
  int status = 0;
  std::string out, errors;
};

class Chat : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    home_ = new TempDir;
    const std::string command =
        std::string(PLUMB_PROGRAM) + " synth '" + model() + "' > '" + path("synth.log") + "' 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  static void TearDownTestSuite() {
    delete home_;
    home_ = nullptr;
  }

  static std::string model() { return (*home_ / "tiny").string(); }
  static std::string path(const std::string& name) { return (*home_ / name).string(); }

  static Arguments arguments(const Arguments& more) {
    Arguments all = {"--model", model(), "--seed", "5"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static Environment environment(const Environment& more) {
    Environment all = {{"HOME", home_->path().string()}, {"XDG_STATE_HOME", path("state")}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static Terminal open(const Arguments& more, const Environment& env = {}) {
    return Terminal(arguments(more), environment(env));
  }

  static Piped pipe(const std::string& input, const Arguments& more) {
    EXPECT_TRUE(write_file_atomically(path("input"), input));
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (std::freopen(path("input").c_str(), "r", stdin) == nullptr ||
          std::freopen(path("out").c_str(), "w", stdout) == nullptr ||
          std::freopen(path("errors").c_str(), "w", stderr) == nullptr) {
        ::_exit(126);
      }
      become_plumb(arguments(more), environment({}));
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    Piped piped{exit_status(status), {}, {}};
    piped.out = *read_file(path("out"));
    piped.errors = *read_file(path("errors"));
    return piped;
  }

  static TempDir* home_;
};
TempDir* Chat::home_ = nullptr;

class ChatOnTerminal : public Chat {
 protected:
  void SetUp() override {
    const int fd = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0) GTEST_SKIP() << "There are no pseudo-terminals here; is /dev/pts mounted?";
    ::close(fd);
  }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(ChatOnTerminal, TakesBackAndRetriesWithTheSameBytes) {
  Terminal chat = open({"--context", "512", "--max-tokens", "24"});
  chat.expect("/help");
  chat.expect("0/512 > ");
  const std::string answer = chat.ask("Hello", "/512 > ");
  EXPECT_GT(answer.size(), 4u);
  EXPECT_EQ(chat.ask("/retry", "/512 > "), answer);
  EXPECT_NE(chat.ask("/retry 6", "/512 > "), answer);  // another seed
  EXPECT_TRUE(contains(chat.ask("/undo", "0/512 > "), "taken back"));
  EXPECT_EQ(chat.ask("Hello", "/512 > "), answer);
  EXPECT_TRUE(contains(chat.ask("/stats", "/512 > "), "seed 5"));
  EXPECT_TRUE(contains(chat.ask("/think high", "/512 > "), "Thinking: high."));
  EXPECT_TRUE(contains(chat.ask("/system Be brief.", "/512 > "), "Be brief."));
  EXPECT_TRUE(contains(chat.ask("/hlep", "/512 > "), "There is no command /hlep"));
  chat.send(kCtrlC);
  chat.expect("press Ctrl-D");
  chat.expect("/512 > ");
  chat.send(kCtrlD);
  EXPECT_EQ(chat.status(), 0);

  // What was typed is there again next time, for its owner only.
  const std::string history = path("state") + "/plumb/chat_history";
  struct stat status {};
  ASSERT_EQ(::stat(history.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(contains(*read_file(history), "Hello\n/retry\n"));
  Terminal again = open({"--context", "512", "--max-tokens", "4"});
  again.expect("0/512 > ");
  again.send("\033[A");
  again.expect("/hlep");
  again.send("\025/quit\r");
  EXPECT_EQ(again.status(), 0);
}

TEST_F(ChatOnTerminal, NoHistoryLeavesNothing) {
  Terminal chat = open({"--context", "512", "--no-history"}, {{"XDG_STATE_HOME", path("none")}});
  chat.expect("> ");
  chat.ask("/stats", "> ");
  chat.send("/quit\r");
  EXPECT_EQ(chat.status(), 0);
  EXPECT_FALSE(std::filesystem::exists(path("none")));
}

TEST_F(ChatOnTerminal, CtrlCStopsTheAnswerNotTheProgram) {
  // A model that likes to repeat itself comes to no end.
  Terminal chat = open({"--temperature", "0", "--repetition-penalty", "0.1"});
  chat.expect("0/131,072 > ");
  chat.send("Tell me\r");
  chat.expect("\033[?2004l");
  chat.expect("e");  // the answer has begun
  chat.send(kCtrlC);
  chat.expect("(stopped)");
  chat.expect("/131,072 > ");
  chat.send("/quit\r");
  EXPECT_EQ(chat.status(), 0);
}

// The kernel hands on a key pressed outside the editor as a zero.
TEST_F(ChatOnTerminal, CtrlDDuringAnAnswerEndsTheChatAfterIt) {
  Terminal chat = open({"--context", "4096", "--temperature", "0", "--repetition-penalty", "0.1",
                        "--max-tokens", "2000"});
  chat.expect("0/4,096 > ");
  chat.send("Tell me\r");
  chat.expect("\033[?2004l");
  chat.send(kCtrlD);
  chat.expect("(stopped at --max-tokens)");
  EXPECT_EQ(chat.status(), 0);
}

TEST_F(ChatOnTerminal, CtrlCStopsReadingALongPrompt) {
  Terminal chat = open({"--system", std::string(100000, 'x')});
  chat.expect("/131,072 > ");
  chat.send("Hello\r");
  chat.expect("Reading");
  chat.expect("left");
  chat.send(kCtrlC);
  chat.expect("the question is taken back");
  chat.expect("/131,072 > ");
  chat.send("/quit\r");
  EXPECT_EQ(chat.status(), 0);
}

TEST_F(ChatOnTerminal, ASavedChatGoesOnWithTheSameBytes) {
  const std::string file = path("talk.chat");
  std::string second;
  {
    Terminal chat = open({"--context", "1024", "--max-tokens", "40"});
    chat.expect("0/1,024 > ");
    chat.ask("One", "/1,024 > ");
    EXPECT_TRUE(contains(chat.ask("/save " + file, "/1,024 > "), "Saved"));
    second = chat.ask("More", "/1,024 > ");
    EXPECT_GT(second.size(), 4u);
  }
  {
    Terminal chat = open({"--context", "1024", "--max-tokens", "40"});
    chat.expect("0/1,024 > ");
    EXPECT_TRUE(
        contains(chat.ask("/load " + file, "/1,024 > "), " 0 of them have to be read again"));
    EXPECT_EQ(chat.ask("More", "/1,024 > "), second);
    // Only the new turn was read: four bytes and two control tokens; <｜User｜> is in the state.
    EXPECT_TRUE(contains(chat.ask("/stats", "/1,024 > "), "Read 6 of "));
  }
  Terminal chat = open({"--context", "1024", "--max-tokens", "40", "--numerics", "vendor"});
  chat.expect("0/1,024 > ");
  const std::string refused = chat.ask("/load " + file, "0/1,024 > ");
  EXPECT_TRUE(contains(refused, "numerics (fast")) << refused;
  EXPECT_TRUE(contains(refused, "(vendor")) << refused;
  EXPECT_TRUE(contains(chat.ask("/load --text " + file, "/1,024 > "), "2 messages"));
  chat.send("/quit\r");
  EXPECT_EQ(chat.status(), 0);

  const Piped piped = pipe("", {"--numerics", "vendor", "--load", file});
  EXPECT_EQ(piped.status, 5);
  EXPECT_TRUE(contains(piped.errors, "numerics")) << piped.errors;
}

TEST_F(ChatOnTerminal, APasteIsOneMessageAndSoIsABlock) {
  Terminal chat = open({"--context", "1024", "--max-tokens", "1"});
  chat.expect("0/1,024 > ");
  chat.ask("\033[200~one\rtwo\r/quit\033[201~", "/1,024 > ");
  chat.send("three\\\r");
  chat.expect("... ");
  chat.ask("four", "/1,024 > ");
  chat.send("\"\"\"\r");
  chat.expect("... ");
  chat.send("fünf\r");
  chat.expect("... ");
  chat.ask("\xe5\x85\xad\"\"\"", "/1,024 > ");
  chat.ask("//six", "/1,024 > ");
  chat.ask("/save " + path("paste.chat"), "/1,024 > ");
  const std::string file = *read_file(path("paste.chat"));
  const auto saved = parse_chat_file(std::as_bytes(std::span(file)));
  ASSERT_TRUE(saved) << saved.error().message;
  std::vector<std::string> said;
  for (const Message& message : saved->conversation.messages) {
    if (message.role == Role::kUser) said.push_back(message.text());
  }
  EXPECT_EQ(said, (std::vector<std::string>{"one\ntwo\n/quit", "three\nfour", "fünf\n\xe5\x85\xad",
                                            "/six"}));
}

TEST_F(ChatOnTerminal, ColoursOnlyWhereTheyAreWanted) {
  const Arguments thinking = {"--context", "512", "--max-tokens", "12", "--think", "high"};
  {
    Terminal chat = open(thinking);
    chat.expect("/512 > ");
    EXPECT_TRUE(contains(chat.ask("Hello", "/512 > "), "\033[2m"));
  }
  {
    Terminal chat = open(thinking, {{"NO_COLOR", "1"}});
    chat.expect("/512 > ");
    const std::string answer = chat.ask("Hello", "/512 > ");
    EXPECT_FALSE(contains(answer, kEscape)) << answer;
    EXPECT_TRUE(contains(answer, "(thinking)"));
  }
  Terminal chat = open(thinking, {{"NO_COLOR", "1"}, {"TERM", "dumb"}});
  chat.expect("/512 > ");
  chat.send("Hello\r");
  chat.expect("(thinking)");
  chat.expect("/512 > ");
  EXPECT_FALSE(contains(chat.shown(), kEscape)) << chat.shown();
}

TEST_F(ChatOnTerminal, AFullContextIsExplained) {
  Terminal chat = open({"--context", "128"});
  chat.expect("0/128 > ");
  // 200 bytes, begin of sentence, user, assistant, end of thinking.
  const std::string refused = chat.ask(std::string(200, 'x'), "0/128 > ");
  EXPECT_TRUE(contains(refused, "has 204 tokens, and the context holds 128")) << refused;
  EXPECT_TRUE(contains(refused, "/clear"));

  Terminal short_of_room = open({"--context", "128", "--temperature", "0"});
  short_of_room.expect("0/128 > ");
  const std::string cut = short_of_room.ask("Tell me", "/128 > ");
  EXPECT_TRUE(contains(cut, "the context is full: 128 of 128 tokens")) << cut;
}

TEST_F(Chat, APipeIsAConversationWithoutEscapes) {
  const Piped piped = pipe("Hello\n/undo\nHello\n", {"--context", "512", "--max-tokens", "24"});
  EXPECT_EQ(piped.status, 0) << piped.errors;
  EXPECT_FALSE(contains(piped.errors, kEscape)) << piped.errors;
  // The same answer twice, and nothing else.
  const std::size_t half = piped.out.size() / 2;
  ASSERT_GT(half, 4u);
  EXPECT_EQ(piped.out.substr(0, half), piped.out.substr(half));

  const Piped wrong = pipe("/nope\n", {"--context", "512"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_TRUE(contains(wrong.errors, "There is no command /nope")) << wrong.errors;
}

}  // namespace
}  // namespace plumb
