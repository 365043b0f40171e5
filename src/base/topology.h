// What this process may use of the machine: cores and memory, with the limits of its control
// groups.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct Core {
  std::vector<int> cpus;  // its hardware threads that this process may run on
  int node = 0;           // whose memory is near: 0 .. nodes - 1, without gaps
};

struct Topology {
  int online_cores = 1;            // logical CPUs this process may run on (its affinity mask)
  int physical_cores = 1;          // distinct cores among all CPUs of the machine
  std::vector<Core> cores;         // those this process may use, by node
  int nodes = 1;                   // of memory, among those cores
  bool all_cpus = true;            // the affinity mask leaves out none of the machine's
  int others_running = 0;          // threads of the machine that compute right now, without ours
  double cpu_quota = 0;            // CPU seconds per second its control groups grant; 0: no limit
  std::uint64_t total_memory = 0;  // bytes in the machine
  std::uint64_t available_memory = 0;     // bytes the system could give without swapping
  std::uint64_t memory_limit = kNoLimit;  // tightest limit of its control groups
  std::uint64_t usable_memory = 0;  // bytes this process can still take: the tightest of all of it

  // Threads worth starting: one per physical core, fewer if the quota is less, at least 1. A second
  // thread on a core shares its vector units and its way to memory, which we keep busy with one.
  int usable_cores() const;
};

// Where a thread of a pool belongs.
struct ThreadPlace {
  std::vector<int> core;  // CPUs to stay on; empty: not bound to a core
  std::vector<int> home;  // CPUs of its node; empty: anywhere
  int node = 0;
};

// Places for `threads` threads, spread over the nodes in proportion to their cores. They are bound
// to cores only if the machine is ours: no narrower affinity mask, no quota, nobody else computing
// at this moment, and as many threads as cores. Else the scheduler knows better which core is free.
std::vector<ThreadPlace> thread_places(const Topology& topology, int threads);

// Reads /proc and /sys below `root` (tests give another one). Whatever is missing is no limit.
Topology read_topology(const std::filesystem::path& root = "/");

int usable_cores();                   // of this process, now
std::uint64_t usable_memory_bytes();  // of this process, now

// The parsers, on the texts of the files named.
struct ControlGroups {
  std::optional<std::string> unified;  // paths below the mount points, "/" and so on
  std::optional<std::string> cpu;      // version 1 controllers
  std::optional<std::string> memory;
};
ControlGroups parse_cgroups(std::string_view text);               // /proc/self/cgroup
std::optional<double> parse_cpu_max(std::string_view text);       // cpu.max: "150000 100000" is 1.5
std::optional<std::uint64_t> parse_limit(std::string_view text);  // memory.max; "max" is no limit
std::vector<int> parse_cpu_list(std::string_view text);           // "0-2,8" is 0 1 2 8
// "<key> <number>" or "<key>: <number> kB" on a line of its own; kB are turned into bytes.
std::optional<std::uint64_t> parse_field(std::string_view text, std::string_view key);

}  // namespace plumb
