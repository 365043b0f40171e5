// The queue between threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/check.h"

namespace plumb {

// Bounded queue, many producers, one consumer: the only way data crosses a thread boundary above
// the engine. Memory grows in chunks with what is queued and is not taken ahead. Thread-safe.
template <class T>
class Channel {
 public:
  explicit Channel(std::size_t capacity) : capacity_(capacity) { PLUMB_CHECK(capacity >= 1); }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // false: full or closed; the item is then destroyed.
  bool try_push(T item) {
    std::unique_lock lock(mutex_);
    if (closed_ || queue_.size() >= capacity_) return false;
    queue_.push_back(std::move(item));
    announce(lock);
    return true;
  }

  std::optional<T> try_pop() {
    const std::lock_guard lock(mutex_);
    return take();
  }

  // Blocks; nullopt: closed and drained, or a stop was requested while the queue was empty.
  std::optional<T> pop(std::stop_token stop = {}) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return !queue_.empty() || closed_; });
    return take();
  }

  // What is queued can still be popped.
  void close() {
    std::unique_lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    announce(lock);
  }

  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  // `wake` runs on the producer's thread after a push or close, and once at once when something is
  // already there. It must not block and not throw: typically it posts to an event loop.
  void set_waker(std::function<void()> wake) {
    std::unique_lock lock(mutex_);
    wake_ = std::move(wake);
    if (wake_ && (!queue_.empty() || closed_)) announce(lock);
  }

 private:
  // Unlocks, so that neither the consumer nor `wake` meets a held lock.
  void announce(std::unique_lock<std::mutex>& lock) {
    const std::function<void()> wake = wake_;
    lock.unlock();
    changed_.notify_one();
    if (wake) wake();
  }

  std::optional<T> take() {
    if (queue_.empty()) return std::nullopt;
    std::optional<T> out(std::move(queue_.front()));
    queue_.pop_front();
    return out;
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<T> queue_;
  std::function<void()> wake_;
  bool closed_ = false;
};

}  // namespace plumb
