#include "measure/machine.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/temp_dir_for_tests.h"
#include "measure/energy.h"

namespace plumb::measure {
namespace {

TEST(Machine, ProbesThatMovedDoNotAgree) {
  EXPECT_TRUE(agree(Probe{30e9, 900e9}, Probe{32e9, 920e9}));
  EXPECT_FALSE(agree(Probe{30e9, 900e9}, Probe{50e9, 900e9}));
  EXPECT_FALSE(agree(Probe{30e9, 900e9}, Probe{30e9, 700e9}));
}

// Every limit is there or absent, and none is a number that no machine has.
TEST(Machine, MeasuresItsLimits) {
  auto machine = Machine::create(2, 8 << 20);
  ASSERT_TRUE(machine);
  const Limits limits = (*machine)->limits(1);
  const auto plausible = [](const Rates& r) {
    EXPECT_GT(r.one, 1e6);
    EXPECT_GT(r.all, 1e6);
    EXPECT_LT(r.one, 1e16);
    EXPECT_LT(r.all, 1e17);
  };
  plausible(limits.read);
  ASSERT_TRUE(limits.f32.has_value());
  plausible(*limits.f32);
  if (limits.int8) plausible(*limits.int8);
  if (limits.bf16) plausible(*limits.bf16);
  EXPECT_GT((*machine)->probe().read, 1e6);
}

// What is read is what was written: no loop skips or repeats a part.
TEST(Machine, ReadsEveryByte) {
  std::vector<std::uint64_t> words(1024);
  EXPECT_EQ(read_memory(reinterpret_cast<const std::byte*>(words.data()), 8192), 0u);
  for (std::size_t i = 0; i < words.size(); i += 8) {  // the word of each vector that comes back
    words[i] = 5;
    EXPECT_EQ(read_memory(reinterpret_cast<const std::byte*>(words.data()), 8192), 5u) << i;
    words[i] = 0;
  }
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

TEST(Machine, AddsTheCachesThatProcessorsShare) {
  TempDir dir;
  const auto cpu = [&](const char* name, const char* size, const char* shared) {
    write(dir / name / "cache" / "index3" / "size", size);
    write(dir / name / "cache" / "index3" / "shared_cpu_list", shared);
  };
  cpu("cpu0", "32768K\n", "0-1\n");
  cpu("cpu1", "32768K\n", "0-1\n");
  cpu("cpu2", "16M\n", "2\n");
  write(dir / "cpu3" / "cache" / "index2" / "size", "1024K\n");
  EXPECT_EQ(last_level_cache_bytes(dir.path()), std::uint64_t{48} << 20);
  EXPECT_EQ(last_level_cache_bytes(dir / "nothing"), 0u);
}

TEST(Energy, AddsPackagesAndUnderstandsWrapping) {
  TempDir dir;
  for (const char* package : {"intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"}) {
    write(dir / package / "energy_uj", "900\n");
    write(dir / package / "max_energy_range_uj", "1000\n");
  }
  const EnergyMeter meter(dir.path());
  ASSERT_TRUE(meter.readable());
  const auto before = meter.read();
  write(dir / "intel-rapl:0" / "energy_uj", "950\n");
  write(dir / "intel-rapl:1" / "energy_uj", "100\n");  // 900 .. 1000, then 100 more
  write(dir / "intel-rapl:0:0" / "energy_uj", "990\n");
  EXPECT_DOUBLE_EQ(*meter.joules(before, meter.read()), 250e-6);
}

TEST(Energy, IsAbsentWhereNothingCounts) {
  TempDir dir;
  const EnergyMeter meter(dir / "nothing");
  EXPECT_FALSE(meter.readable());
  EXPECT_FALSE(meter.joules(meter.read(), meter.read()).has_value());
}

}  // namespace
}  // namespace plumb::measure
