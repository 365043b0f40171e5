#include "base/topology.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <set>
#include <thread>
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

int count_physical_cores(const fs::path& root) {
  std::set<std::string> cores;  // each named by the list of its hardware threads
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/cpu", ec)) {
    const std::string siblings = text_of(entry.path() / "topology/thread_siblings_list");
    if (!siblings.empty()) cores.insert(siblings);
  }
  return static_cast<int>(cores.size());
}

int count_online_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
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
  if (cpu_quota <= 0) return online_cores;
  return std::clamp(static_cast<int>(std::ceil(cpu_quota)), 1, online_cores);
}

Topology read_topology(const fs::path& root) {
  Topology out;
  out.online_cores = count_online_cores();
  const int physical = count_physical_cores(root);
  out.physical_cores = physical > 0 ? physical : out.online_cores;
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
