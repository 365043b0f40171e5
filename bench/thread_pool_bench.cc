// What it costs to hand work to the pool and to get it back, and what is left of the speed when
// another thread of the machine computes too.
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "base/topology.h"

namespace plumb {
namespace {

using Clock = std::chrono::steady_clock;

// Keeps a core busy until a time.
void compute_until(Clock::time_point end) {
  while (Clock::now() < end) {
  }
}

// One empty job after the other.
void fork_join(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    pool.run(pool.size(), 1, [](std::int64_t, std::int64_t, int) {});
  }
}

// The same after the caller alone was busy for some microseconds, as between two operations.
void fork_join_after_a_gap(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const auto gap = std::chrono::microseconds(state.range(1));
  for (auto _ : state) {
    compute_until(Clock::now() + gap);
    const auto start = Clock::now();
    pool.run(pool.size(), 1, [](std::int64_t, std::int64_t, int) {});
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
}

// Jobs like those of a decoded token, a few hundred to a step: 4 MiB of memory read in pieces of
// 64 KiB. "kept" is the speed beside one busy thread over the speed without, in turns.
void beside_a_busy_thread(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  constexpr std::int64_t kWords = 64 << 20 >> 3, kJob = 4 << 20 >> 3, kPiece = 64 << 10 >> 3;
  const std::vector<std::uint64_t> memory(kWords, 3);
  const auto jobs_per_s = [&](std::chrono::milliseconds time) {
    const auto start = Clock::now();
    std::int64_t jobs = 0, at = 0;
    for (; Clock::now() < start + time; ++jobs, at = (at + kJob) % kWords) {
      pool.run(kJob, kPiece, [&](std::int64_t begin, std::int64_t end, int) {
        std::uint64_t part[8] = {};
        for (std::int64_t i = begin; i + 8 <= end; i += 8) {
          for (int l = 0; l < 8; ++l) part[l] += memory[static_cast<std::size_t>(at + i + l)];
        }
        benchmark::DoNotOptimize(part);
      });
    }
    return static_cast<double>(jobs) / std::chrono::duration<double>(Clock::now() - start).count();
  };
  double quiet = 0, beside = 0;
  for (auto _ : state) {
    quiet += jobs_per_s(std::chrono::milliseconds(500));
    std::atomic<bool> over{false};
    std::thread other([&] {
      while (!over.load(std::memory_order_relaxed)) {
      }
    });
    beside += jobs_per_s(std::chrono::milliseconds(1000));
    over = true;
    other.join();
    jobs_per_s(std::chrono::milliseconds(500));  // workers recover
  }
  state.counters["kept"] = beside / quiet;
}

void all_cores(benchmark::internal::Benchmark* b) { b->Arg(usable_cores())->UseRealTime(); }

BENCHMARK(fork_join)->Arg(1)->Apply(all_cores);
BENCHMARK(fork_join_after_a_gap)->ArgsProduct({{2}, {0, 5, 20, 100}})->UseManualTime();
BENCHMARK(beside_a_busy_thread)->Apply(all_cores)->Iterations(5);

}  // namespace
}  // namespace plumb

BENCHMARK_MAIN();
