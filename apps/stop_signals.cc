#include "apps/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <ctime>
#include <utility>

#include "apps/exit_code.h"
#include "base/interrupt.h"

namespace plumb {
namespace {

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

StopSignals::StopSignals(std::function<void()> hangup) : hangup_(std::move(hangup)) {
  const sigset_t set = stop_set();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);  // threads started from now on inherit it
  ::signal(SIGPIPE, SIG_IGN);
  thread_ = std::jthread([this](std::stop_token done) { listen(done); });
}

StopSignals::~StopSignals() = default;

void StopSignals::set_hangup(std::function<void()> hangup) {
  const std::lock_guard lock(mutex_);
  hangup_ = std::move(hangup);
}

void StopSignals::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_; });
}

void StopSignals::listen(std::stop_token done) {
  const sigset_t set = stop_set();
  constexpr timespec kLook{0, 200'000'000};  // how soon the destructor is heard
  while (!done.stop_requested()) {
    const int signal = ::sigtimedwait(&set, nullptr, &kLook);
    if (signal < 0) continue;
    const std::lock_guard lock(mutex_);
    if (signal == SIGHUP) {
      if (hangup_) hangup_();
      continue;
    }
    if (std::exchange(stopped_, true)) ::_exit(kExitInterrupted);
    note_interrupt();
    changed_.notify_all();
  }
}

}  // namespace plumb
