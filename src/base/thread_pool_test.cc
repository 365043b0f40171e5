#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/float_env.h"

namespace plumb {
namespace {

TEST(ThreadPool, EveryItemIsDoneOnceInAlignedRanges) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::int64_t items : {0, 1, 2, 63, 64, 65, 1000}) {
      for (const std::int64_t grain : {1, 3, 64, 5000}) {
        std::vector<int> count(static_cast<std::size_t>(items), 0);
        std::atomic<int> bad{0};
        pool.run(items, grain, [&](std::int64_t begin, std::int64_t end, int thread) {
          if (begin % grain != 0 || begin >= end) ++bad;
          if ((end - begin) % grain != 0 && end != items) ++bad;
          if (thread < 0 || thread >= threads) ++bad;
          for (std::int64_t i = begin; i < end; ++i) ++count[static_cast<std::size_t>(i)];
        });
        EXPECT_EQ(bad.load(), 0);
        for (const int c : count) EXPECT_EQ(c, 1);
      }
    }
  }
}

// Many short jobs on plain (not atomic) data: what one job writes, the next reads, on any thread.
TEST(ThreadPool, JobsFollowEachOtherWithoutRaces) {
  ThreadPool pool(3);
  std::vector<std::int64_t> data(50, 0);
  for (int round = 1; round <= 3000; ++round) {
    pool.run(50, 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) data[static_cast<std::size_t>(i)] += 1;
    });
    if (round % 300 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_EQ(std::accumulate(data.begin(), data.end(), std::int64_t{0}), round * 50);
  }
}

// Two nodes of a machine that need not exist: nobody is bound to anything.
std::vector<ThreadPlace> places_on(const std::vector<int>& nodes) {
  std::vector<ThreadPlace> places;
  for (const int node : nodes) places.push_back({{}, {}, node});
  return places;
}

TEST(ThreadPool, EveryItemIsDoneOnceOnSeveralNodes) {
  for (const auto& nodes : {std::vector<int>{0, 1}, {1, 0, 1}, {0, 0, 2, 2, 2}, {3}}) {
    ThreadPool pool(places_on(nodes));
    for (const std::int64_t items : {0, 1, 5, 64, 1000}) {
      for (const std::int64_t grain : {1, 7, 64}) {
        std::vector<int> count(static_cast<std::size_t>(items), 0);
        std::atomic<int> bad{0};
        pool.run(items, grain, [&](std::int64_t begin, std::int64_t end, int) {
          if (begin % grain != 0 || begin >= end) ++bad;
          if ((end - begin) % grain != 0 && end != items) ++bad;
          for (std::int64_t i = begin; i < end; ++i) ++count[static_cast<std::size_t>(i)];
        });
        EXPECT_EQ(bad.load(), 0);
        for (const int c : count) EXPECT_EQ(c, 1);
      }
    }
  }
}

TEST(ThreadPool, ThreadsBeginWithTheirNodesShare) {
  ThreadPool pool(places_on({1, 0}));
  std::atomic<int> seen{0};
  std::int64_t first[2] = {-1, -1};
  pool.run(100, 1, [&](std::int64_t begin, std::int64_t, int thread) {
    if (first[thread] >= 0) return;
    first[thread] = begin;
    ++seen;
    while (seen.load() < 2) std::this_thread::yield();  // both threads
  });
  EXPECT_EQ(first[0], 50);
  EXPECT_EQ(first[1], 0);
}

TEST(ThreadPool, NobodyIsIdleWhileAnotherNodeHasWork) {
  ThreadPool pool(places_on({0, 1}));
  std::atomic<std::int64_t> by_caller{0}, by_worker{0};
  pool.run(100, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    if (thread == 0) {
      by_caller += end - begin;
      while (by_worker.load() == 0) std::this_thread::yield();
    } else {
      by_worker += end - begin;
      // The caller does all the rest, most of it the worker's share.
      while (by_caller.load() + by_worker.load() < 100) std::this_thread::yield();
    }
  });
  EXPECT_EQ(by_caller.load() + by_worker.load(), 100);
  EXPECT_GT(by_caller.load(), 50);
}

// The caller sleeps through a range that takes long, and is woken when it ends.
TEST(ThreadPool, ALongLastRangeIsWaitedFor) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> seen{0}, done{0};
    pool.run(2, 1, [&](std::int64_t, std::int64_t, int thread) {
      ++seen;
      while (seen.load() < 2) std::this_thread::yield();  // both threads
      if (thread == 1) std::this_thread::sleep_for(std::chrono::milliseconds(3));
      ++done;
    });
    EXPECT_EQ(done.load(), 2);
  }
}

TEST(ThreadPool, WorkersTakePart) {
  ThreadPool pool(2);
  std::atomic<int> other{0};
  // The caller holds its range until the worker has come, so this ends only if one comes.
  pool.run(2, 1, [&](std::int64_t, std::int64_t, int thread) {
    if (thread != 0) ++other;
    while (thread == 0 && other.load() == 0) std::this_thread::yield();
  });
  EXPECT_GE(other.load(), 1);
}

// The state of the floating-point unit, without the flags it raises: one that flushes and rounds
// towards zero, and the one that computing threads have.
#if defined(__x86_64__)
constexpr unsigned long kOdd = 0x1f80 | 0x8040 | 0x6000, kPlain = 0x1f80;
unsigned long float_state() { return _mm_getcsr() & ~0x3fu; }
void set_float_state(unsigned long state) { _mm_setcsr(static_cast<unsigned>(state)); }
#elif defined(__aarch64__)
constexpr unsigned long kOdd = 1ul << 24 | 3ul << 22, kPlain = 0;
unsigned long float_state() {
  unsigned long state = 0;
  asm volatile("mrs %0, fpcr" : "=r"(state));
  return state;
}
void set_float_state(unsigned long state) { asm volatile("msr fpcr, %0" : : "r"(state)); }
#endif

#if defined(__x86_64__) || defined(__aarch64__)
TEST(ThreadPool, EveryThreadComputesInTheSameEnvironment) {
  const unsigned long before = float_state();
  set_float_state(kOdd);
  std::atomic<int> wrong{0}, seen{0};
  {
    ThreadPool pool(2);
    pool.run(2, 1, [&](std::int64_t, std::int64_t, int) {
      if (float_state() != kPlain) ++wrong;
      ++seen;
      while (seen.load() < 2) std::this_thread::yield();  // both threads
    });
  }
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(float_state(), kOdd);  // the caller's own state is back
  set_float_state(before);
}
#endif

TEST(ThreadPoolDeathTest, NestedRunsAreOurBug) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        ThreadPool pool(1);
        pool.run(1, 1, [&](std::int64_t, std::int64_t, int) {
          pool.run(1, 1, [](std::int64_t, std::int64_t, int) {});
        });
      },
      "should be impossible");
}

}  // namespace
}  // namespace plumb
