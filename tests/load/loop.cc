#include "load/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace plumb::load {

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) { PLUMB_CHECK(epoll_ >= 0); }

Loop::~Loop() { ::close(epoll_); }

void Loop::watch(int fd, std::uint32_t events, Watcher& watcher) {
  const std::uint64_t id = next_++;
  entries_[fd] = {id, &watcher};
  watchers_[id] = &watcher;
  epoll_event event{events, {.u64 = id}};
  PLUMB_CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Loop::change(int fd, std::uint32_t events) {
  epoll_event event{events, {.u64 = entries_.at(fd).id}};
  PLUMB_CHECK(::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void Loop::forget(int fd) {
  const auto entry = entries_.find(fd);
  if (entry == entries_.end()) return;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  watchers_.erase(entry->second.id);
  entries_.erase(entry);
}

Loop::Timer Loop::at(Moment when, std::function<void()> call) {
  const Timer timer{when, next_++};
  timers_.emplace(timer, std::move(call));
  return timer;
}

Loop::Timer Loop::after(std::chrono::milliseconds delay, std::function<void()> call) {
  return at(now() + delay, std::move(call));
}

int Loop::wait_ms() const {
  if (timers_.empty()) return -1;
  const double ms = std::ceil(ms_between(now(), timers_.begin()->first.first));
  return static_cast<int>(std::clamp(ms, 0.0, 60000.0));
}

// Only those that are due now: a timer that sets the next one must not keep the sockets waiting.
void Loop::fire_timers() {
  const Timer due{now(), next_};
  while (!timers_.empty() && timers_.begin()->first < due && !stopped_) {
    auto first = timers_.extract(timers_.begin());
    first.mapped()();
  }
}

void Loop::run() {
  stopped_ = false;
  std::array<epoll_event, 256> events{};
  while (!stopped_) {
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms());
    for (int i = 0; i < n && !stopped_; ++i) {
      // One that was called before may have removed it.
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto found = watchers_.find(event.data.u64);
      if (found != watchers_.end()) found->second->ready(event.events);
    }
    fire_timers();
  }
}

}  // namespace plumb::load
