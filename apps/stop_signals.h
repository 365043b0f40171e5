// The signals by which a server is stopped, heard on a thread of their own.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace plumb {

// SIGINT and SIGTERM ask for a stop; the second one ends the program at once with status 130.
// SIGHUP runs `hangup`. Make it before any other thread: threads started earlier would get the
// signals. The first stop also counts as an interrupt (base/interrupt.h), so that a load that looks
// there ends.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> hangup = {});
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void wait();  // for the first stop
  void set_hangup(std::function<void()> hangup);

 private:
  void listen(std::stop_token done);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> hangup_;
  bool stopped_ = false;
  std::jthread thread_;  // last: ends first
};

}  // namespace plumb
