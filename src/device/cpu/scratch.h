// Memory that kernels keep between calls.
#pragma once

#include <cstddef>
#include <vector>

namespace plumb::cpu {

// At least `count` elements, contents unspecified.
template <class T, class Count>
T* grow(std::vector<T>& memory, Count count) {
  const auto size = static_cast<std::size_t>(count);
  if (memory.size() < size) memory.resize(size);
  return memory.data();
}

}  // namespace plumb::cpu
