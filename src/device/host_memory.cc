#include "device/host_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <string>

namespace plumb {
namespace {

constexpr std::size_t kAlign = 128;
constexpr std::size_t kMapFrom = std::size_t{1} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Stands in the 128 bytes before the data.
struct alignas(kAlign) Header {
  std::size_t total;
  bool mapped;
};
static_assert(sizeof(Header) == kAlign);

}  // namespace

std::byte* host_acquire(std::size_t bytes) noexcept {
  if (bytes > std::numeric_limits<std::ptrdiff_t>::max() - kHugePage) return nullptr;
  const std::size_t total = (bytes + kAlign - 1) / kAlign * kAlign + sizeof(Header);
  const bool mapped = total >= kMapFrom;
  void* memory = nullptr;
  if (mapped) {
    memory = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    if (total >= 4 * kHugePage) madvise(memory, total, MADV_HUGEPAGE);  // advice only
  } else {
    memory = std::aligned_alloc(kAlign, total);
    if (memory == nullptr) return nullptr;
    std::memset(memory, 0, total);
  }
  new (memory) Header{total, mapped};
  return static_cast<std::byte*>(memory) + sizeof(Header);
}

void host_populate(std::byte* begin, std::size_t bytes) noexcept {
  constexpr std::uintptr_t kPage = 4096;  // where they are larger, the system declines
  const auto from = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = from / kPage * kPage;
  const std::uintptr_t last = (from + bytes + kPage - 1) / kPage * kPage;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_POPULATE_WRITE);
}

bool host_memory_is_uniform() {
  std::ifstream online("/sys/devices/system/node/online");
  std::string nodes;
  return !std::getline(online, nodes) || nodes.find_first_of(",-") == nodes.npos;
}

void host_release(std::byte* data) noexcept {
  void* memory = data - sizeof(Header);
  const Header header = *static_cast<const Header*>(memory);
  if (header.mapped) {
    munmap(memory, header.total);
  } else {
    std::free(memory);
  }
}

}  // namespace plumb
