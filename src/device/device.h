// Something that computes: the host's cores now, accelerators later.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tensor/tensor.h"

namespace plumb {

class Device;
class Kernels;

// Owning, move-only block of device memory, 128-byte aligned, zeroed. Must not outlive its Device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  friend class Device;
  Buffer(Device* device, std::byte* data, std::size_t size)
      : device_(device), data_(data), size_(size) {}
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// What to do with a published weight.
enum class Placement : unsigned char {
  kResident,  // copy into the device's own layout; the published pages are no longer needed
  kMapped,    // use the published bytes where they are (row-major); the mapping must stay
};

// One device. Thread-compatible: the engine thread owns it after start-up. Work is in order:
// kernels and copies see the effects of those before them.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;  // "ref", "cpu/avx512", "cpu/baseline"
  virtual int threads() const = 0;
  // The order of summation of `fast` products: "chain", as ref does them, or a name of the device's
  // own. A literal.
  virtual std::string_view fast_products() const { return "chain"; }

  Result<Buffer> allocate(std::size_t bytes);  // kExhausted names the size

  // Puts a weight where kernels read it, in the layout they like. Called once per weight, at load.
  // kUnsupported names a format this device cannot read.
  virtual Result<WeightView> place(const WeightView& host, Placement placement) = 0;
  // Bytes that place() takes from device memory for this weight (0 when mapped in place).
  virtual std::size_t placed_bytes(const WeightView& host, Placement placement) const = 0;

  virtual void upload(std::byte* to, std::span<const std::byte> from) = 0;
  virtual void download(std::span<std::byte> to, const std::byte* from) = 0;
  virtual void copy(std::byte* to, const std::byte* from, std::size_t bytes) = 0;  // within it
  virtual Status sync() = 0;  // failures of earlier work surface here

  virtual Kernels& kernels() = 0;

 protected:
  virtual std::byte* acquire(std::size_t bytes) noexcept = 0;  // null: no memory
  virtual void release(std::byte* data) noexcept = 0;
  friend class Buffer;
};

struct DeviceOptions {
  std::string name = "auto";  // "auto", "cpu", "ref"
  std::string isa = "auto";   // CPU only: "auto", or one of cpu::usable_tiers()
  int threads = 0;            // CPU only; 0 = one per usable core
};
// kInvalid/kUnsupported name the option, its value and what this machine has.
Result<std::unique_ptr<Device>> open_device(const DeviceOptions& options);

}  // namespace plumb
