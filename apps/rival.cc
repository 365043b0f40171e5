#include "apps/rival.h"

#include <sys/wait.h>

#include <cstdio>

#include "base/json.h"
#include "base/strings.h"
#include "measure/numbers.h"

namespace plumb {

Result<double> rival_speed(const std::string& command) {
  std::FILE* pipe = ::popen((command + "\n").c_str(), "r");
  if (pipe == nullptr) return Error{Code::kInternal, "No shell could be started for --against."};
  std::string output;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  const int status = ::pclose(pipe);
  if (status != 0) {
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return Error{Code::kInvalid, str("The command of --against ended with status ", code,
                                     ", expected 0: ", command)};
  }
  auto speed = measure::last_number(output);
  if (speed) return speed;
  constexpr std::size_t kShown = 200;
  const std::string tail = output.size() > kShown ? output.substr(output.size() - kShown) : output;
  return Error{Code::kInvalid, str("The command of --against: ", speed.error().message,
                                   " It printed ", json_quote(tail), ".")};
}

}  // namespace plumb
