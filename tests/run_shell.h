// Running the program as a person does, in a shell.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {

struct Outcome {
  int status = -1;  // what a shell would say; -n when signal n ended it
  std::string out, err;
};

// `command` may redirect its streams; `err` is then for the caller to fill.
inline Outcome run_shell(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) {
    outcome.out.append(buffer, n);
  }
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return outcome;
}

// The same with standard error apart.
inline Outcome run_shell_apart(const std::string& command) {
  const TempDir dir;
  const std::string err = (dir / "err").string();
  Outcome outcome = run_shell(command + " 2>" + err);
  if (auto text = read_file(err)) outcome.err = *text;
  return outcome;
}

}  // namespace plumb
