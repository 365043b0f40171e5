#include "base/topology.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/file.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  text = trimmed(text);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

void for_each_line(std::string_view text, const std::function<void(std::string_view)>& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string text_of(const fs::path& path) {
  auto text = read_file(path, 1 << 20);
  return text ? *std::move(text) : std::string();
}

// The group's directory and all above it: a limit anywhere on the way binds. In a container the
// path of the host may not exist below the mount; what exists of it is looked at.
std::vector<fs::path> group_chain(const fs::path& mount, const std::string& group) {
  std::vector<fs::path> out;
  fs::path path = mount / fs::path(group).relative_path();
  while (path != mount && path.string().size() > mount.string().size()) {
    out.push_back(path);
    path = path.parent_path();
  }
  out.push_back(mount);
  return out;
}

void tighten_quota(Topology& t, std::optional<double> quota) {
  if (quota && *quota > 0) t.cpu_quota = t.cpu_quota > 0 ? std::min(t.cpu_quota, *quota) : *quota;
}

// `room` is what the group may still take: its page cache gives way to us, so it counts as free.
void tighten_memory(Topology& t, const fs::path& dir, const char* limit_file, const char* used_file,
                    const char* cache_prefix) {
  const auto limit = parse_limit(text_of(dir / limit_file));
  if (!limit) return;
  t.memory_limit = std::min(t.memory_limit, *limit);
  const std::uint64_t used = parse_limit(text_of(dir / used_file)).value_or(0);
  const std::string stat = text_of(dir / "memory.stat");
  const std::string prefix = cache_prefix;
  const std::uint64_t cache = parse_field(stat, prefix + "inactive_file").value_or(0) +
                              parse_field(stat, prefix + "active_file").value_or(0);
  const std::uint64_t held = used > cache ? used - cache : 0;
  t.usable_memory = std::min(t.usable_memory, *limit > held ? *limit - held : 0);
}

void apply_groups(Topology& t, const fs::path& root) {
  const ControlGroups groups = parse_cgroups(text_of(root / "proc/self/cgroup"));
  const fs::path mount = root / "sys/fs/cgroup";
  if (groups.unified) {
    for (const fs::path& dir : group_chain(mount, *groups.unified)) {
      tighten_quota(t, parse_cpu_max(text_of(dir / "cpu.max")));
      tighten_memory(t, dir, "memory.max", "memory.current", "");
    }
  }
  if (groups.cpu) {
    for (const fs::path& dir : group_chain(mount / "cpu", *groups.cpu)) {
      const auto quota = parse_number<double>(text_of(dir / "cpu.cfs_quota_us"));
      const auto period = parse_number<double>(text_of(dir / "cpu.cfs_period_us"));
      if (quota && period && *quota > 0 && *period > 0) tighten_quota(t, *quota / *period);
    }
  }
  if (groups.memory) {
    for (const fs::path& dir : group_chain(mount / "memory", *groups.memory)) {
      tighten_memory(t, dir, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_");
    }
  }
}

// The text behind "<key>:" on a line of its own.
std::string_view line_of(std::string_view text, std::string_view key) {
  std::string_view out;
  for_each_line(text, [&](std::string_view line) {
    if (line.starts_with(key) && line.substr(key.size()).starts_with(":")) {
      out = trimmed(line.substr(key.size() + 1));
    }
  });
  return out;
}

// CPUs the calling thread may run on.
std::vector<int> allowed_cpus(const fs::path& root) {
  const std::string status = text_of(root / "proc/thread-self/status");
  std::vector<int> cpus = parse_cpu_list(line_of(status, "Cpus_allowed_list"));
  if (!cpus.empty()) return cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

int number_behind(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return -1;
  return parse_number<int>(std::string_view(name).substr(prefix.size())).value_or(-1);
}

// Node of every CPU that one names.
std::map<int, int> nodes_of_cpus(const fs::path& root) {
  std::map<int, int> nodes;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/node", ec)) {
    const int node = number_behind(entry.path().filename().string(), "node");
    if (node < 0) continue;
    for (const int cpu : parse_cpu_list(text_of(entry.path() / "cpulist"))) nodes[cpu] = node;
  }
  return nodes;
}

void find_cores(Topology& t, const fs::path& root) {
  const std::vector<int> allowed = allowed_cpus(root);
  t.online_cores = static_cast<int>(allowed.size());
  const fs::path cpus = root / "sys/devices/system/cpu";
  const std::vector<int> online = parse_cpu_list(text_of(cpus / "online"));
  t.all_cpus = std::includes(allowed.begin(), allowed.end(), online.begin(), online.end());
  // A core is named by the first of its hardware threads.
  std::set<int> machine;
  std::map<int, int> core_of;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(cpus, ec)) {
    const int cpu = number_behind(entry.path().filename().string(), "cpu");
    const auto siblings = parse_cpu_list(text_of(entry.path() / "topology/thread_siblings_list"));
    if (cpu < 0 || siblings.empty()) continue;
    machine.insert(siblings.front());
    core_of[cpu] = siblings.front();
  }
  t.physical_cores = machine.empty() ? t.online_cores : static_cast<int>(machine.size());
  const std::map<int, int> nodes = nodes_of_cpus(root);
  std::map<std::pair<int, int>, Core> cores;  // by node and name
  for (const int cpu : allowed) {
    const int node = nodes.contains(cpu) ? nodes.at(cpu) : 0;
    cores[{node, core_of.contains(cpu) ? core_of.at(cpu) : cpu}].cpus.push_back(cpu);
  }
  int last = -1;
  t.nodes = 0;
  for (auto& [name, core] : cores) {
    if (name.first != last) ++t.nodes;
    last = name.first;
    core.node = t.nodes - 1;
    t.cores.push_back(std::move(core));
  }
}

}  // namespace

ControlGroups parse_cgroups(std::string_view text) {
  ControlGroups out;
  for_each_line(text, [&](std::string_view line) {  // "4:cpu,cpuacct:/path", version 2: "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) return;
    const std::string controllers =
        "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string path(line.substr(second + 1));
    if (controllers == ",,") out.unified = path;
    if (controllers.find(",cpu,") != controllers.npos) out.cpu = path;
    if (controllers.find(",memory,") != controllers.npos) out.memory = path;
  });
  return out;
}

std::optional<double> parse_cpu_max(std::string_view text) {
  text = trimmed(text);
  const std::size_t space = text.find(' ');
  if (space == text.npos) return std::nullopt;
  const auto quota = parse_number<double>(text.substr(0, space));
  const auto period = parse_number<double>(text.substr(space + 1));
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return *quota / *period;
}

std::optional<std::uint64_t> parse_limit(std::string_view text) {
  const auto value = parse_number<std::uint64_t>(text);
  // Version 1 says "no limit" with the largest multiple of a page.
  if (!value || *value >= std::uint64_t{1} << 60) return std::nullopt;
  return value;
}

std::vector<int> parse_cpu_list(std::string_view text) {
  constexpr int kMostCpus = 1 << 16;  // whatever a broken file says
  std::vector<int> out;
  text = trimmed(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    const std::size_t dash = std::min(part.find('-'), part.size());
    const auto first = parse_number<int>(part.substr(0, dash));
    const auto last = dash == part.size() ? first : parse_number<int>(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last >= kMostCpus) return {};
    for (int cpu = *first; cpu <= *last; ++cpu) out.push_back(cpu);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<std::uint64_t> parse_field(std::string_view text, std::string_view key) {
  std::optional<std::uint64_t> out;
  for_each_line(text, [&](std::string_view line) {
    if (out || !line.starts_with(key)) return;
    std::string_view rest = line.substr(key.size());
    if (rest.empty() || (rest[0] != ':' && rest[0] != ' ')) return;
    rest = trimmed(rest.substr(1));
    const bool kilobytes = rest.ends_with(" kB");
    if (kilobytes) rest.remove_suffix(3);
    out = parse_number<std::uint64_t>(rest);
    if (out && kilobytes) *out *= 1024;
  });
  return out;
}

int Topology::usable_cores() const {
  const int most = std::max(1, static_cast<int>(cores.size()));
  if (cpu_quota <= 0) return most;
  return std::clamp(static_cast<int>(std::ceil(cpu_quota)), 1, most);
}

std::vector<ThreadPlace> thread_places(const Topology& t, int threads) {
  std::vector<ThreadPlace> places(static_cast<std::size_t>(threads));
  const auto cores = static_cast<int>(t.cores.size());
  const bool ours = t.all_cpus && t.cpu_quota <= 0 && t.others_running == 0 && threads == cores;
  if (cores == 0 || (!ours && t.nodes == 1)) return places;
  std::vector<std::vector<int>> homes(static_cast<std::size_t>(t.nodes));
  for (const Core& core : t.cores) {
    std::vector<int>& home = homes[static_cast<std::size_t>(core.node)];
    home.insert(home.end(), core.cpus.begin(), core.cpus.end());
  }
  for (int i = 0; i < threads; ++i) {
    // Evenly along the cores, which are ordered by node.
    const auto at = static_cast<std::size_t>(std::int64_t{i} * cores / threads);
    ThreadPlace& place = places[static_cast<std::size_t>(i)];
    place.node = t.cores[at].node;
    place.home = homes[static_cast<std::size_t>(place.node)];
    if (ours) place.core = t.cores[at].cpus;
  }
  return places;
}

Topology read_topology(const fs::path& root) {
  Topology out;
  find_cores(out, root);
  const std::string stat = text_of(root / "proc/stat");
  const auto running = parse_field(stat, "procs_running").value_or(1);
  out.others_running = static_cast<int>(std::min<std::uint64_t>(running, 1 << 20)) - 1;
  const std::string meminfo = text_of(root / "proc/meminfo");
  out.total_memory = parse_field(meminfo, "MemTotal").value_or(0);
  out.available_memory = parse_field(meminfo, "MemAvailable").value_or(out.total_memory);
  out.usable_memory = out.available_memory;
  apply_groups(out, root);
  return out;
}

int usable_cores() { return read_topology().usable_cores(); }

std::uint64_t usable_memory_bytes() { return read_topology().usable_memory; }

}  // namespace plumb
