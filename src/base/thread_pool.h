// Fork-join over a range of items: the only way a kernel uses more than one core.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/core_share.h"
#include "base/topology.h"

namespace plumb {

// Fixed set of workers. One thread at a time may call run(), and it works along; a worker that
// wakes late finds the range empty and is not waited for. Workers hold a ScopedFloatEnv, and run()
// gives the caller one for its duration. Between steps nothing spins: a worker looks for the next
// range for some microseconds, then sleeps; so does the caller while it waits for a worker that
// lost its core, so that the system can give that worker the caller's.
//
// With several memory nodes each has its share of the range, in ascending order; threads take from
// their own node's share first and then from the others'. So the same items are computed near the
// same memory every time, and nobody is idle while there is work.
class ThreadPool {
 public:
  // `threads` counts the caller: 1 starts no worker. At least 1. Placed as thread_places() says.
  explicit ThreadPool(int threads);
  // One place per thread, the caller's first; the caller is never bound, its place names its node.
  explicit ThreadPool(const std::vector<ThreadPlace>& places);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(places_.size()); }

  // Calls body(begin, end, thread) until every item of [0, items) was in exactly one range, then
  // returns. Ranges hold a multiple of `grain` items (the last may hold fewer) and start at
  // multiples of it, long ones first, so that a thread reads long stretches of memory, and shorter
  // and shorter ones, so that all end together; who gets which is not determined, so no result may
  // depend on it. thread is in [0, size()); one thread runs its ranges one after the other. The
  // body must not throw, allocate by habit, block, or call run(). Writes of the bodies are visible
  // when run() returns.
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

  // Items of one node that nobody claimed yet.
  struct alignas(64) Range {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
    int threads = 1;  // of the node
  };
  struct alignas(64) Worker {
    std::thread thread;
    CoreShare share;                  // its own
    std::atomic<bool> inside{false};  // a job
    std::atomic<bool> late{false};    // somebody waited long for it
  };

  void run_erased(std::int64_t items, std::int64_t grain, Erased body);
  void deal(std::int64_t items, std::int64_t grain);
  void claim_ranges(int thread);
  void await_workers();
  void work(int thread);
  void leave(Worker& worker, const ThreadPlace& place);
  bool await_change(std::uint32_t seen);  // false: the pool is ending

  // Description of the current job; written only while nobody is inside it.
  Erased body_;
  std::int64_t grain_ = 1;
  std::vector<Range> ranges_;        // by node
  std::vector<int> threads_before_;  // by node: threads of lower ones

  // High half: number of openings and closings so far, odd while a job is open. Low half: workers
  // inside the job. One word, so that joining a job and closing it cannot cross.
  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> napping_{false};  // the caller sleeps until nobody is inside
  std::atomic<bool> ending_{false};
  std::atomic<bool> busy_{false};
  std::mutex mutex_;
  std::condition_variable wake_, done_, rested_;
  std::vector<ThreadPlace> places_;
  std::vector<Worker> workers_;
  int spins_ = 0;
};

}  // namespace plumb
