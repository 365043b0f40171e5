#include "device/cpu/weight_memory.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "device/host_memory.h"

namespace plumb::cpu {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 20;
constexpr std::size_t kPage = std::size_t{2} << 20;
constexpr std::size_t kAhead = 3 * kPage;
constexpr std::size_t kAlign = 128;

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

WeightMemory::WeightMemory(Device& device, ThreadPool& pool)
    : device_(device), pool_(pool), asks_(host_memory_is_uniform()) {}

Result<std::byte*> WeightMemory::take(std::size_t bytes) {
  bytes = round_up(bytes, kAlign);
  if (bytes > static_cast<std::size_t>(end_ - next_)) PLUMB_TRY_STATUS(new_block(bytes));
  std::byte* piece = next_;
  next_ += bytes;
  if (asks_ && next_ > asked_) ask_for_pages(next_);
  return piece;
}

Status WeightMemory::new_block(std::size_t bytes) {
  PLUMB_TRY(block, device_.allocate(std::max(bytes, kBlock)));
  next_ = asked_ = block.data();
  end_ = next_ + block.size();
  blocks_.push_back(std::move(block));
  return {};
}

void WeightMemory::ask_for_pages(const std::byte* end) {
  const auto first = reinterpret_cast<std::uintptr_t>(asked_);
  const auto wanted = round_up(reinterpret_cast<std::uintptr_t>(end) + kAhead, kPage);
  const auto last = std::min(wanted, reinterpret_cast<std::uintptr_t>(end_));
  const std::uintptr_t begin = first / kPage * kPage;
  const auto pages = static_cast<std::int64_t>((last - begin + kPage - 1) / kPage);
  pool_.run(pages, 1, [&](std::int64_t from, std::int64_t to, int) {
    const auto low = std::max(first, begin + static_cast<std::uintptr_t>(from) * kPage);
    const auto high = std::min(last, begin + static_cast<std::uintptr_t>(to) * kPage);
    host_populate(asked_ + (low - first), high - low);
  });
  asked_ += last - first;
}

}  // namespace plumb::cpu
