// Fork-join over a range of items: the only way a kernel uses more than one core.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace plumb {

// Fixed set of workers. One thread at a time may call run(), and it works along; a worker that
// wakes late finds the range empty and is not waited for. Workers hold a ScopedFloatEnv, and run()
// gives the caller one for its duration. Between steps nothing spins: a worker looks for the next
// range for some microseconds, then sleeps.
class ThreadPool {
 public:
  // `threads` counts the caller: 1 starts no worker. At least 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread) until every item of [0, items) was in exactly one range, then
  // returns. Ranges hold `grain` items (the last may hold fewer) and start at multiples of it; who
  // gets which is not determined, so no result may depend on it. thread is in [0, size()); one
  // thread runs its ranges one after the other. The body must not throw, allocate by habit, block,
  // or call run(). Writes of the bodies are visible when run() returns.
  template <class Body>
  void run(std::int64_t items, std::int64_t grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased(items, grain,
               {[](void* b, std::int64_t begin, std::int64_t end, int thread) noexcept {
                  (*static_cast<Plain*>(b))(begin, end, thread);
                },
                const_cast<void*>(static_cast<const void*>(&body))});
  }

 private:
  struct Erased {
    void (*call)(void*, std::int64_t, std::int64_t, int) noexcept = nullptr;
    void* body = nullptr;
  };

  void run_erased(std::int64_t items, std::int64_t grain, Erased body);
  void claim_ranges(int thread);
  void work(int thread);
  bool await_change(std::uint32_t seen);  // false: the pool is ending

  // Description of the current job; written only while nobody is inside it.
  Erased body_;
  std::int64_t items_ = 0;
  std::int64_t grain_ = 1;
  std::atomic<std::int64_t> next_{0};  // first item not claimed yet

  // High half: number of openings and closings so far, odd while a job is open. Low half: workers
  // inside the job. One word, so that joining a job and closing it cannot cross.
  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> ending_{false};
  std::atomic<bool> busy_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  int spins_ = 0;
};

}  // namespace plumb
