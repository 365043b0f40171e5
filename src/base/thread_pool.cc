#include "base/thread_pool.h"

#include <algorithm>

#include "base/check.h"
#include "base/float_env.h"

namespace plumb {
namespace {

constexpr std::uint64_t kOneEpoch = std::uint64_t{1} << 32;

std::uint32_t epoch_of(std::uint64_t state) { return static_cast<std::uint32_t>(state >> 32); }
std::uint32_t inside(std::uint64_t state) { return static_cast<std::uint32_t>(state); }
bool is_open(std::uint64_t state) { return (epoch_of(state) & 1) != 0; }

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  PLUMB_CHECK(threads >= 1);
  // Operations follow each other within microseconds; on a small machine a longer look would take
  // the core from the thread that has the work. A pause is some 40 cycles.
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  spins_ = cores < static_cast<unsigned>(threads) ? 0 : cores <= 4 ? 1000 : 10000;
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(std::int64_t items, std::int64_t grain, Erased body) {
  PLUMB_CHECK(grain >= 1);
  PLUMB_CHECK(!busy_.exchange(true, std::memory_order_acquire));  // nested or concurrent run()
  const ScopedFloatEnv env;
  body_ = body;
  items_ = items;
  grain_ = grain;
  next_.store(0, std::memory_order_relaxed);
  if (workers_.empty() || items <= grain) {
    claim_ranges(0);
  } else {
    state_.fetch_add(kOneEpoch);  // open
    // A worker announces its sleep before it looks at the state a last time; we change the state
    // before we look for sleepers. So one of the two sees the other.
    if (sleepers_.load() > 0) {
      { const std::lock_guard lock(mutex_); }
      wake_.notify_all();
    }
    claim_ranges(0);
    state_.fetch_add(kOneEpoch);  // close: nobody joins any more
    for (int i = 0; inside(state_.load(std::memory_order_acquire)) != 0; ++i) {
      // Those inside are finishing their last range. If one lost its core, hand ours over.
      if (i < spins_) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
  }
  busy_.store(false, std::memory_order_release);
}

void ThreadPool::claim_ranges(int thread) {
  const std::int64_t items = items_, grain = grain_;
  const Erased body = body_;
  while (true) {
    const std::int64_t begin = next_.fetch_add(grain, std::memory_order_relaxed);
    if (begin >= items) return;
    body.call(body.body, begin, std::min(begin + grain, items), thread);
  }
}

void ThreadPool::work(int thread) {
  const ScopedFloatEnv env;
  std::uint32_t seen = 0;
  while (await_change(seen)) {
    std::uint64_t state = state_.load(std::memory_order_acquire);
    seen = epoch_of(state);
    if (!is_open(state)) continue;
    if (!state_.compare_exchange_strong(state, state + 1, std::memory_order_acq_rel)) {
      // Another worker joined, or the job closed: look again.
      seen = epoch_of(state) - 1;
      continue;
    }
    claim_ranges(thread);
    state_.fetch_sub(1, std::memory_order_release);
  }
}

bool ThreadPool::await_change(std::uint32_t seen) {
  const auto changed = [&] { return epoch_of(state_.load()) != seen || ending_.load(); };
  for (int i = 0; i < spins_; ++i) {
    if (changed()) return !ending_.load();
    relax();
  }
  std::unique_lock lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, changed);
  sleepers_.fetch_sub(1);
  return !ending_.load();
}

}  // namespace plumb
