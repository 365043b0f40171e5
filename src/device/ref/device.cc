#include "device/ref/device.h"

#include <cstring>
#include <utility>

#include "device/host_memory.h"
#include "tensor/format.h"

namespace plumb {

Result<WeightView> RefDevice::place(const WeightView& host, Placement placement) {
  if (host.layout != Layout::kRowMajor || !is_weight_format(host.format)) {
    return Error{Code::kUnsupported,
                 "The device ref cannot read weights stored as " + format_name(host.format) + "."};
  }
  if (placement == Placement::kMapped) return host;
  const std::size_t data = data_bytes(host.format, host.rows, host.cols);
  const std::size_t scales = scale_bytes(host.format, host.rows, host.cols);
  PLUMB_TRY(buffer, allocate(data + scales));
  WeightView view = host;
  if (data > 0) std::memcpy(buffer.data(), host.data, data);
  view.data = buffer.data();
  if (scales > 0) {
    std::memcpy(buffer.data() + data, host.scales, scales);
    view.scales = buffer.data() + data;
  }
  placed_.push_back(std::move(buffer));
  return view;
}

std::size_t RefDevice::placed_bytes(const WeightView& host, Placement placement) const {
  if (placement == Placement::kMapped) return 0;
  return data_bytes(host.format, host.rows, host.cols) +
         scale_bytes(host.format, host.rows, host.cols);
}

void RefDevice::upload(std::byte* to, std::span<const std::byte> from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

void RefDevice::download(std::span<std::byte> to, const std::byte* from) {
  if (!to.empty()) std::memcpy(to.data(), from, to.size());
}

void RefDevice::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes > 0) std::memmove(to, from, bytes);
}

std::byte* RefDevice::acquire(std::size_t bytes) noexcept { return host_acquire(bytes); }
void RefDevice::release(std::byte* data) noexcept { host_release(data); }

}  // namespace plumb
