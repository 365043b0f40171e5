#include <algorithm>
#include <string>

#include "base/topology.h"
#include "device/cpu/device.h"
#include "device/cpu/isa.h"
#include "device/device.h"
#include "device/ref/device.h"

namespace plumb {
namespace {

constexpr int kMostThreads = 1024;

}  // namespace

Result<std::unique_ptr<Device>> open_device(const DeviceOptions& options) {
  if (options.name == "ref") return std::unique_ptr<Device>(std::make_unique<RefDevice>());
  if (options.name != "auto" && options.name != "cpu") {
    return Error{Code::kInvalid, "There is no device '" + options.name +
                                     "'; the devices are 'auto', 'cpu' and 'ref'."};
  }
  if (options.threads < 0 || options.threads > kMostThreads) {
    return Error{Code::kInvalid, "The number of threads is " + std::to_string(options.threads) +
                                     "; it must lie in 1.." + std::to_string(kMostThreads) +
                                     ", or be 0 for one per usable core."};
  }
  PLUMB_TRY(tier, cpu::find_tier(options.isa));
  const int threads =
      options.threads > 0 ? options.threads : std::min(usable_cores(), kMostThreads);
  return std::unique_ptr<Device>(std::make_unique<CpuDevice>(*tier, threads));
}

}  // namespace plumb
