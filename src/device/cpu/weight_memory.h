// Where weights lie that stay.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "device/device.h"

namespace plumb::cpu {

// Pieces of large blocks, which the system can give in large pages; most matrices of experts are
// smaller than such a page. Pages are asked for shortly before they are written, by all threads, so
// that no two of them wait for the same page and it is still in the cache when it is written. Where
// memory has several nodes, pages come to whoever writes them.
// Thread-compatible; the device and the pool must outlive it.
class WeightMemory {
 public:
  WeightMemory(Device& device, ThreadPool& pool);

  // Zeroed, 128-byte aligned, as long as this lives. kExhausted names the size.
  Result<std::byte*> take(std::size_t bytes);

 private:
  Status new_block(std::size_t bytes);
  void ask_for_pages(const std::byte* end);

  Device& device_;
  ThreadPool& pool_;
  const bool asks_;
  std::vector<Buffer> blocks_;
  std::byte* next_ = nullptr;   // in the last block
  std::byte* end_ = nullptr;    // of it
  std::byte* asked_ = nullptr;  // up to where
};

}  // namespace plumb::cpu
