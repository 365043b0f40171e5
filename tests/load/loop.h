// Sockets and timers of one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace plumb::load {

using Moment = std::chrono::steady_clock::time_point;
inline Moment now() { return std::chrono::steady_clock::now(); }
inline double ms_between(Moment from, Moment to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Waits on descriptors and the clock and calls who asked for it. What is called may add and remove
// watchers and timers, its own among them. Thread-compatible.
class Loop {
 public:
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void ready(std::uint32_t events) = 0;  // as epoll names them
  };
  using Timer = std::pair<Moment, std::uint64_t>;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Borrows the watcher until forget().
  void watch(int fd, std::uint32_t events, Watcher& watcher);
  void change(int fd, std::uint32_t events);
  void forget(int fd);

  Timer at(Moment when, std::function<void()> call);
  Timer after(std::chrono::milliseconds delay, std::function<void()> call);
  void cancel(Timer timer) { timers_.erase(timer); }  // one that has fired is no error

  void run();  // until stop()
  void stop() { stopped_ = true; }

 private:
  struct Entry {
    std::uint64_t id = 0;
    Watcher* watcher = nullptr;
  };
  int wait_ms() const;
  void fire_timers();

  int epoll_ = -1;
  std::uint64_t next_ = 1;
  std::map<int, Entry> entries_;                // by descriptor
  std::map<std::uint64_t, Watcher*> watchers_;  // by id, which no later watcher has
  std::map<Timer, std::function<void()>> timers_;
  bool stopped_ = false;
};

}  // namespace plumb::load
