#include "base/topology.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {
namespace {

TEST(Topology, ParsesControlGroupPaths) {
  const ControlGroups v2 = parse_cgroups("0::/user.slice/app.scope\n");
  EXPECT_EQ(v2.unified, "/user.slice/app.scope");
  EXPECT_EQ(v2.cpu, std::nullopt);
  const ControlGroups v1 =
      parse_cgroups("12:cpuset:/\n4:cpu,cpuacct:/docker/ab:c\n3:memory:/docker/m\n0::/init.scope");
  EXPECT_EQ(v1.cpu, "/docker/ab:c");
  EXPECT_EQ(v1.memory, "/docker/m");
  EXPECT_EQ(v1.unified, "/init.scope");
  EXPECT_EQ(parse_cgroups("garbage\n::\n").memory, std::nullopt);
}

TEST(Topology, ParsesLimits) {
  EXPECT_EQ(parse_cpu_max("150000 100000\n"), 1.5);
  EXPECT_EQ(parse_cpu_max("max 100000\n"), std::nullopt);
  EXPECT_EQ(parse_cpu_max(""), std::nullopt);
  EXPECT_EQ(parse_limit("1073741824\n"), 1073741824u);
  EXPECT_EQ(parse_limit("max\n"), std::nullopt);
  EXPECT_EQ(parse_limit("9223372036854771712\n"), std::nullopt);
  EXPECT_EQ(parse_limit("12x"), std::nullopt);
}

TEST(Topology, ParsesFields) {
  const char* meminfo =
      "MemTotal:       24543084 kB\nMemFree:  1 kB\nMemAvailable:   23000000 kB\n";
  EXPECT_EQ(parse_field(meminfo, "MemAvailable"), 23000000ull * 1024);
  EXPECT_EQ(parse_field(meminfo, "Mem"), std::nullopt);
  EXPECT_EQ(parse_field("anon 5\ninactive_file 4096\n", "inactive_file"), 4096u);
  EXPECT_EQ(parse_field("total_inactive_file 4096\n", "inactive_file"), std::nullopt);
}

class FakeRoot {
 public:
  FakeRoot() { write("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 800000 kB\n"); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((dir_ / path).parent_path());
    ASSERT_TRUE(write_file_atomically(dir_ / path, text));
  }
  Topology read() const { return read_topology(dir_.path()); }

 private:
  TempDir dir_;
};

TEST(Topology, WithoutGroupsTheMachineIsTheLimit) {
  const Topology t = FakeRoot().read();
  EXPECT_EQ(t.cpu_quota, 0);
  EXPECT_EQ(t.memory_limit, kNoLimit);
  EXPECT_EQ(t.usable_memory, 800000ull * 1024);
  EXPECT_GE(t.usable_cores(), 1);
}

TEST(Topology, ALimitAnywhereAboveTheGroupBinds) {
  FakeRoot root;
  root.write("proc/self/cgroup", "0::/a/b\n");
  root.write("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  root.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/a/memory.max", "104857600\n");
  root.write("sys/fs/cgroup/a/memory.current", "60000000\n");
  root.write("sys/fs/cgroup/a/memory.stat",
             "anon 1\ninactive_file 10000000\nactive_file 20000000\n");
  root.write("sys/fs/cgroup/a/b/memory.max", "max\n");
  const Topology t = root.read();
  EXPECT_EQ(t.cpu_quota, 0.5);
  EXPECT_EQ(t.usable_cores(), 1);
  EXPECT_EQ(t.memory_limit, 104857600u);
  EXPECT_EQ(t.usable_memory, 104857600u - 30000000u);
}

TEST(Topology, VersionOneIsRead) {
  FakeRoot root;
  root.write("proc/self/cgroup", "4:cpu,cpuacct:/x\n3:memory:/not/mounted/here\n");
  root.write("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "250000\n");
  root.write("sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "50000000\n");
  root.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "60000000\n");
  const Topology t = root.read();
  EXPECT_EQ(t.cpu_quota, 2.5);
  EXPECT_EQ(t.memory_limit, 50000000u);
  EXPECT_EQ(t.usable_memory, 0u);
}

TEST(Topology, CountsCoresByTheirThreads) {
  FakeRoot root;
  for (const auto& [cpu, siblings] :
       {std::pair{"cpu0", "0,2\n"}, {"cpu1", "1,3\n"}, {"cpu2", "0,2\n"}, {"cpu3", "1,3\n"}}) {
    root.write(std::string("sys/devices/system/cpu/") + cpu + "/topology/thread_siblings_list",
               siblings);
  }
  EXPECT_EQ(root.read().physical_cores, 2);
}

TEST(Topology, ThisMachineMakesSense) {
  const Topology t = read_topology();
  EXPECT_GE(usable_cores(), 1);
  EXPECT_GT(usable_memory_bytes(), 0u);
  EXPECT_LE(t.usable_memory, t.total_memory);
  EXPECT_GE(t.physical_cores, 1);
}

}  // namespace
}  // namespace plumb
