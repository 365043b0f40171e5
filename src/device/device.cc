#include "device/device.h"

#include <utility>

namespace plumb {

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ != nullptr) device_->release(data_);
}

Result<Buffer> Device::allocate(std::size_t bytes) {
  if (bytes == 0) return Buffer();
  std::byte* data = acquire(bytes);
  if (data == nullptr) {
    return Error{Code::kExhausted, "The device " + std::string(name()) + " has no " +
                                       std::to_string(bytes) + " bytes of memory left."};
  }
  return Buffer(this, data, bytes);
}

}  // namespace plumb
