// The host's cores as a device: tiled weights, a pool of threads, the loops of one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "device/cpu/kernels.h"
#include "device/cpu/weight_memory.h"
#include "device/ref/device.h"

namespace plumb {

class CpuDevice final : public RefDevice {
 public:
  // Fused steps of an operation from which it is shared among threads: about what one thread does
  // in the time that waking another takes.
  static constexpr std::int64_t kWorthWaking = 200'000;

  CpuDevice(const cpu::KernelTable& table, int threads, std::int64_t worth_waking = kWorthWaking);

  std::string_view fast_products() const override { return kernels_.fast_products(); }
  std::string_view name() const override { return name_; }
  int threads() const override { return pool_.size(); }

  Result<WeightView> place(const WeightView& host, Placement placement) override;
  std::size_t placed_bytes(const WeightView& host, Placement placement) const override;
  Kernels& kernels() override { return kernels_; }

 private:
  std::string name_;
  ThreadPool pool_;
  CpuKernels kernels_;
  cpu::WeightMemory weights_;
};

}  // namespace plumb
