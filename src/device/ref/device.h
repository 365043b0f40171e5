// The oracle as a device: host memory, weights row-major as published.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "device/device.h"
#include "device/ref/kernels.h"

namespace plumb {

class RefDevice : public Device {
 public:
  std::string_view name() const override { return "ref"; }
  int threads() const override { return 1; }

  Result<WeightView> place(const WeightView& host, Placement placement) override;
  std::size_t placed_bytes(const WeightView& host, Placement placement) const override;

  void upload(std::byte* to, std::span<const std::byte> from) override;
  void download(std::span<std::byte> to, const std::byte* from) override;
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override;
  Status sync() override { return {}; }

  Kernels& kernels() override { return kernels_; }

 protected:
  std::byte* acquire(std::size_t bytes) noexcept override;
  void release(std::byte* data) noexcept override;

 private:
  RefKernels kernels_;
  std::vector<Buffer> placed_;
};

}  // namespace plumb
