#include <string>

#include "device/device.h"
#include "device/ref/device.h"

namespace plumb {

Result<std::unique_ptr<Device>> open_device(const DeviceOptions& options) {
  if (options.name == "ref" || options.name == "auto") {
    return std::unique_ptr<Device>(std::make_unique<RefDevice>());
  }
  return Error{Code::kInvalid, "There is no device '" + options.name +
                                   "'; the devices are 'auto', 'cpu' and 'ref'."};
}

}  // namespace plumb
