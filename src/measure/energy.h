// Joules, where the machine counts them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace plumb::measure {

// The energy counters of the processor packages that this user may read (powercap of the Linux
// kernel). Tests give another root.
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& root = "/sys/class/powercap");

  bool readable() const { return !packages_.empty(); }
  struct Reading {
    std::vector<std::uint64_t> microjoules;  // per package; counters that wrap
  };
  Reading read() const;
  // Joules from one reading to a later one; nothing where there is no counter.
  std::optional<double> joules(const Reading& from, const Reading& to) const;

 private:
  struct Package {
    std::filesystem::path file;
    std::uint64_t range = 0;  // the counter's largest value
  };
  std::vector<Package> packages_;
};

}  // namespace plumb::measure
