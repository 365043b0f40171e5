#include "base/thread_pool.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/float_env.h"

namespace plumb {
namespace {

using namespace std::chrono_literals;
using Clock = CoreShare::Clock;

constexpr std::uint64_t kOneEpoch = std::uint64_t{1} << 32;
// The caller hands its core over by yielding at first; a core that sleeps may also be given a
// thread that waits for another core. Naps are short so that the system looks often.
constexpr auto kNapAfter = 200us, kNap = 300us;
constexpr auto kLost = 500us;  // a range hardly takes that long: has its worker lost the core?

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

// The calling thread runs on `cpus` only. A wish: where it is refused, the thread stays as it was.
void bind_to(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(cpu), &set);
  }
  static_cast<void>(::sched_setaffinity(0, sizeof set, &set));
}

// How often the system took the core from the calling thread.
long switches() {
  rusage usage{};
  return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : ThreadPool(thread_places(read_topology(), threads)) {}

ThreadPool::ThreadPool(const std::vector<ThreadPlace>& places)
    : places_(places), workers_(places.empty() ? 0 : places.size() - 1) {
  PLUMB_CHECK(!places_.empty());
  int nodes = 1;
  for (const ThreadPlace& place : places_) nodes = std::max(nodes, place.node + 1);
  ranges_ = std::vector<Range>(static_cast<std::size_t>(nodes));
  threads_before_.assign(static_cast<std::size_t>(nodes) + 1, 0);
  for (const ThreadPlace& place : places_) {
    for (int node = place.node; node < nodes; ++node) {
      ++threads_before_[static_cast<std::size_t>(node) + 1];
    }
  }
  // Operations follow each other within microseconds; on a small machine a longer look would take
  // the core from the thread that has the work. A pause is some 40 cycles.
  const int threads = size(), cores = usable_cores();
  spins_ = cores < threads ? 0 : cores <= 4 ? 1000 : 10000;
  for (int thread = 1; thread < threads; ++thread) {
    workers_[static_cast<std::size_t>(thread - 1)].thread =
        std::thread([this, thread] { work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_.store(true);
  }
  wake_.notify_all();
  rested_.notify_all();
  for (Worker& worker : workers_) worker.thread.join();
}

void ThreadPool::run_erased(std::int64_t items, std::int64_t grain, Erased body) {
  PLUMB_CHECK(grain >= 1);
  PLUMB_CHECK(!busy_.exchange(true, std::memory_order_acquire));  // nested or concurrent run()
  const ScopedFloatEnv env;
  body_ = body;
  deal(items, grain);
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
    await_workers();
  }
  busy_.store(false, std::memory_order_release);
}

// Every node gets a part in proportion to its threads.
void ThreadPool::deal(std::int64_t items, std::int64_t grain) {
  grain_ = grain;
  const std::int64_t pieces = (items + grain - 1) / grain;
  for (std::size_t node = 0; node < ranges_.size(); ++node) {
    const auto first = [&](std::size_t n) { return pieces * threads_before_[n] / size() * grain; };
    ranges_[node].next.store(first(node), std::memory_order_relaxed);
    ranges_[node].end = std::min(first(node + 1), items);
    ranges_[node].threads = std::max(1, threads_before_[node + 1] - threads_before_[node]);
  }
}

void ThreadPool::claim_ranges(int thread) {
  const std::int64_t grain = grain_;
  const Erased body = body_;
  const auto own = static_cast<std::size_t>(places_[static_cast<std::size_t>(thread)].node);
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    Range& range = ranges_[(own + i) % ranges_.size()];
    const std::int64_t end = range.end;
    std::int64_t begin = range.next.load(std::memory_order_relaxed);
    while (begin < end) {
      const std::int64_t pieces = (end - begin) / grain / (2 * range.threads);
      const std::int64_t stop = begin + std::max<std::int64_t>(pieces, 1) * grain;
      if (!range.next.compare_exchange_weak(begin, stop, std::memory_order_relaxed)) continue;
      body.call(body.body, begin, std::min(stop, end), thread);
      begin = range.next.load(std::memory_order_relaxed);
    }
  }
}

// Those inside are finishing their last range.
void ThreadPool::await_workers() {
  const auto over = [&] { return inside(state_.load(std::memory_order_acquire)) == 0; };
  for (int i = 0; i < spins_; ++i) {
    if (over()) return;
    relax();
  }
  const Clock::time_point start = Clock::now();
  bool told = false;
  while (!over()) {
    const Clock::duration waited = Clock::now() - start;
    if (waited < kNapAfter) {
      std::this_thread::yield();
      continue;
    }
    if (waited > kLost && !std::exchange(told, true)) {
      for (Worker& worker : workers_) worker.late.store(worker.inside.load());
    }
    std::unique_lock lock(mutex_);
    napping_.store(true);
    done_.wait_for(lock, kNap, [&] { return inside(state_.load()) == 0; });
    napping_.store(false);
  }
}

void ThreadPool::work(int thread) {
  const ScopedFloatEnv env;
  const ThreadPlace& place = places_[static_cast<std::size_t>(thread)];
  Worker& self = workers_[static_cast<std::size_t>(thread - 1)];
  bind_to(place.core.empty() ? place.home : place.core);
  std::uint32_t seen = 0;
  while (await_change(seen)) {
    std::uint64_t state = state_.load(std::memory_order_acquire);
    seen = epoch_of(state);
    if (!is_open(state)) continue;
    if (!self.share.whole()) {
      const Clock::duration rest = self.share.rest_before_work(Clock::now());
      if (rest > Clock::duration::zero()) {
        std::unique_lock lock(mutex_);
        rested_.wait_for(lock, rest, [&] { return ending_.load(); });
        seen = epoch_of(state) - 1;
        continue;
      }
    }
    if (!state_.compare_exchange_strong(state, state + 1, std::memory_order_acq_rel)) {
      // Another worker joined, or the job closed: look again.
      seen = epoch_of(state) - 1;
      continue;
    }
    self.inside.store(true, std::memory_order_relaxed);
    claim_ranges(thread);
    leave(self, place);
  }
}

void ThreadPool::leave(Worker& worker, const ThreadPlace& place) {
  worker.inside.store(false, std::memory_order_relaxed);
  const std::uint64_t before = state_.fetch_sub(1);
  // The caller announces its nap before it looks a last time; we leave before we look for it.
  if (inside(before) == 1 && napping_.load()) {
    { const std::lock_guard lock(mutex_); }
    done_.notify_one();
  }
  if (!worker.late.load(std::memory_order_relaxed)) return;
  worker.late.store(false, std::memory_order_relaxed);
  worker.share.was_late(switches());
  // Somebody else uses this core: the scheduler may find a better one.
  if (!worker.share.whole()) bind_to(place.home);
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
