#include "load/process_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

namespace plumb::load {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(ProcessWatch, SeesMemoryDescriptorsAndThreads) {
  const auto before = sample_process(::getpid());
  ASSERT_TRUE(before) << before.error().message;
  constexpr std::size_t kSize = 32 * kMiB;
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kSize);
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  Result<ProcessSample> after = Error{};
  std::thread([&] { after = sample_process(::getpid()); }).join();
  ::close(fd);
  ::munmap(memory, kSize);
  ASSERT_TRUE(after);
  EXPECT_GE(after->anonymous, before->anonymous + 30 * kMiB);
  EXPECT_EQ(after->descriptors, before->descriptors + 1);
  EXPECT_GE(after->threads, before->threads + 1);
}

TEST(ProcessWatch, AProcessThatEndedIsAnError) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  const auto sample = sample_process(child);
  ASSERT_FALSE(sample);
  EXPECT_EQ(sample.error().code, Code::kNotFound);
}

std::vector<ProcessSample> samples(const std::vector<std::uint64_t>& mib) {
  std::vector<ProcessSample> out;
  for (const std::uint64_t value : mib) out.push_back({{}, value * kMiB, 1, 1});
  return out;
}

// The first third may grow: caches fill.
TEST(ProcessWatch, OnlyLastingGrowthCounts) {
  EXPECT_FALSE(memory_trend(samples({10, 500, 900, 900, 905, 900, 903, 1500, 907})).grows());
  EXPECT_FALSE(memory_trend(samples({10, 10, 10, 20, 20, 20, 28, 28, 28})).grows());
  EXPECT_TRUE(memory_trend(samples({10, 10, 10, 20, 20, 20, 29, 29, 29})).grows());
  EXPECT_FALSE(memory_trend(samples({900, 900, 900, 1000, 1000, 1000, 1020, 1020, 1020})).grows());
  EXPECT_TRUE(memory_trend(samples({900, 900, 900, 1000, 1000, 1000, 1021, 1021, 1021})).grows());
  EXPECT_FALSE(memory_trend({}).grows());
}

TEST(ProcessWatch, SamplesUntilTheLoopEnds) {
  Loop loop;
  const ProcessWatch watch(loop, ::getpid(), std::chrono::milliseconds(5));
  loop.after(std::chrono::milliseconds(60), [&] { loop.stop(); });
  loop.run();
  EXPECT_GE(watch.samples().size(), 3u);
}

}  // namespace
}  // namespace plumb::load
