// `plumb serve` as a process of its own, on a free port.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {

// Started when constructed; killed when destroyed, unless it has ended by then.
class ServerProcess {
 public:
  // `arguments` come behind "serve --port 0".
  explicit ServerProcess(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {PLUMB_PROGRAM, "serve", "--port", "0"});
    const std::string err = (dir_ / "err").string();
    pid_ = ::fork();
    if (pid_ == 0) {
      const int file = ::open(err.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      ::dup2(file, 2);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    wait_for_port();
  }
  ~ServerProcess() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  int port() const { return port_; }  // 0: it ended, or did not begin to serve
  int pid() const { return pid_; }
  void signal(int number) { ::kill(pid_, number); }

  // The exit status (-n: ended by signal n); waits for at most `seconds`, then -1000.
  int wait(int seconds) {
    for (int i = 0; i < seconds * 100; ++i) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return -1000;
  }

  std::string err() const {
    const auto text = read_file(dir_ / "err");
    return text ? *text : "";
  }

 private:
  void wait_for_port() {
    constexpr int kTries = 6000;  // a minute: sanitizers load slowly
    for (int i = 0; i < kTries && port_ == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const std::string text = err();
      const std::size_t serving = text.find("Serving ");
      const std::size_t colon = serving == text.npos ? text.npos : text.find("]:", serving);
      const std::size_t plain = serving == text.npos ? text.npos : text.find("127.0.0.1:", serving);
      if (plain != text.npos) {
        port_ = std::atoi(text.c_str() + plain + 10);
      } else if (colon != text.npos) {
        port_ = std::atoi(text.c_str() + colon + 2);
      } else if (::kill(pid_, 0) != 0 || ended()) {
        return;
      }
    }
  }
  bool ended() {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }

  TempDir dir_;
  int pid_ = -1;
  int port_ = 0;
};

}  // namespace plumb
