#include "base/topology.h"

#include <gtest/gtest.h>

#include <fstream>

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
    std::ofstream(dir_ / path) << text;
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

TEST(Topology, ParsesCpuLists) {
  EXPECT_EQ(parse_cpu_list("0-2,8\n"), (std::vector<int>{0, 1, 2, 8}));
  EXPECT_EQ(parse_cpu_list("5"), std::vector<int>{5});
  EXPECT_TRUE(parse_cpu_list("\n").empty());
  EXPECT_TRUE(parse_cpu_list("1,x").empty());
  EXPECT_TRUE(parse_cpu_list("0-99999999").empty());
}

// Two nodes of two cores of two hardware threads: CPUs 0-3 are on node 0, their siblings 4 higher
// on the same cores; node numbers have a gap.
void write_machine(FakeRoot& root, const std::string& allowed) {
  const std::string cpus = "sys/devices/system/cpu/";
  root.write("proc/thread-self/status", "Name:\tx\nCpus_allowed_list:\t" + allowed + "\n");
  root.write("proc/stat", "cpu 1 2 3\nprocs_running 1\n");
  root.write(cpus + "online", "0-7\n");
  for (int cpu = 0; cpu < 8; ++cpu) {
    const int first = cpu % 4;
    root.write(cpus + "cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
               std::to_string(first) + "," + std::to_string(first + 4) + "\n");
  }
  root.write("sys/devices/system/node/node0/cpulist", "0-1,4-5\n");
  root.write("sys/devices/system/node/node2/cpulist", "2-3,6-7\n");
  root.write("sys/devices/system/node/has_cpu", "0,2\n");
}

TEST(Topology, OneThreadPerPhysicalCore) {
  FakeRoot root;
  write_machine(root, "0-7");
  const Topology t = root.read();
  EXPECT_EQ(t.online_cores, 8);
  EXPECT_EQ(t.physical_cores, 4);
  EXPECT_EQ(t.usable_cores(), 4);
  EXPECT_TRUE(t.all_cpus);
  EXPECT_EQ(t.nodes, 2);
  ASSERT_EQ(t.cores.size(), 4u);
  EXPECT_EQ(t.cores[1].cpus, (std::vector<int>{1, 5}));
  EXPECT_EQ(t.cores[1].node, 0);
  EXPECT_EQ(t.cores[2].cpus, (std::vector<int>{2, 6}));
  EXPECT_EQ(t.cores[2].node, 1);
}

TEST(Topology, AnAffinityMaskNarrowsTheCores) {
  FakeRoot root;
  write_machine(root, "1,2,6,7");
  const Topology t = root.read();
  EXPECT_EQ(t.online_cores, 4);
  EXPECT_EQ(t.physical_cores, 4);
  EXPECT_EQ(t.usable_cores(), 3);
  EXPECT_FALSE(t.all_cpus);
  EXPECT_EQ(t.cores[0].cpus, std::vector<int>{1});
  EXPECT_EQ(t.cores[2].cpus, std::vector<int>{7});
}

TEST(Topology, ThreadsAreBoundToCoresOnlyWhenTheMachineIsOurs) {
  FakeRoot root;
  write_machine(root, "0-7");
  Topology t = root.read();
  std::vector<ThreadPlace> places = thread_places(t, 4);
  ASSERT_EQ(places.size(), 4u);
  EXPECT_EQ(places[0].core, (std::vector<int>{0, 4}));
  EXPECT_EQ(places[3].core, (std::vector<int>{3, 7}));
  EXPECT_EQ(places[3].home, (std::vector<int>{2, 6, 3, 7}));
  EXPECT_EQ(places[1].node, 0);
  EXPECT_EQ(places[2].node, 1);

  // Fewer threads than cores, or somebody else computing: bound to their nodes at most.
  places = thread_places(t, 2);
  EXPECT_TRUE(places[0].core.empty());
  EXPECT_EQ(places[0].node, 0);
  EXPECT_EQ(places[1].node, 1);
  EXPECT_EQ(places[1].home, (std::vector<int>{2, 6, 3, 7}));
  root.write("proc/stat", "procs_running 3\n");
  t = root.read();
  EXPECT_EQ(t.others_running, 2);
  EXPECT_TRUE(thread_places(t, 4)[0].core.empty());
  write_machine(root, "0-3");
  EXPECT_TRUE(thread_places(root.read(), 4)[0].core.empty());
  write_machine(root, "0-7");
  root.write("proc/self/cgroup", "0::/a\n");
  root.write("sys/fs/cgroup/a/cpu.max", "400000 100000\n");
  t = root.read();
  EXPECT_EQ(t.usable_cores(), 4);
  EXPECT_TRUE(thread_places(t, 4)[0].core.empty());
}

TEST(Topology, OnOneNodeUnboundThreadsGoAnywhere) {
  FakeRoot root;
  write_machine(root, "0-1");
  const Topology t = root.read();
  EXPECT_EQ(t.nodes, 1);
  for (const ThreadPlace& place : thread_places(t, 3)) {
    EXPECT_TRUE(place.core.empty());
    EXPECT_TRUE(place.home.empty());
    EXPECT_EQ(place.node, 0);
  }
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
