#include "measure/energy.h"

#include <fstream>
#include <string>
#include <system_error>

namespace plumb::measure {
namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> read_number(const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

}  // namespace

EnergyMeter::EnergyMeter(const fs::path& root) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(root, ec)) {
    // "intel-rapl:0" is a package (on AMD too); "intel-rapl:0:0" is a part of it.
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("intel-rapl:") || name.find(':', 11) != name.npos) continue;
    const fs::path file = entry.path() / "energy_uj";
    const auto range = read_number(entry.path() / "max_energy_range_uj");
    if (range && read_number(file)) packages_.push_back({file, *range});
  }
}

EnergyMeter::Reading EnergyMeter::read() const {
  Reading reading;
  for (const Package& package : packages_) {
    reading.microjoules.push_back(read_number(package.file).value_or(0));
  }
  return reading;
}

std::optional<double> EnergyMeter::joules(const Reading& from, const Reading& to) const {
  if (packages_.empty()) return std::nullopt;
  double sum = 0;
  for (std::size_t i = 0; i < packages_.size(); ++i) {
    const std::uint64_t a = from.microjoules[i], b = to.microjoules[i];
    sum += static_cast<double>(b >= a ? b - a : packages_[i].range - a + b);
  }
  return sum * 1e-6;
}

}  // namespace plumb::measure
