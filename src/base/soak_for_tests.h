// How a test grows from seconds to hours: `make soak` sets a seed and a scale, `make test` neither.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace plumb {

// Mix into every random choice of a test; 0 in `make test`, so that it is the same each time.
inline std::uint64_t soak_seed() {
  const char* text = std::getenv("PLUMB_SOAK_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 0;
}

// How many times as much a test should do: 1 in `make test`.
inline int soak_scale() {
  const char* text = std::getenv("PLUMB_SOAK_SCALE");
  const int scale = text != nullptr ? std::atoi(text) : 1;
  return scale >= 1 ? scale : 1;
}

}  // namespace plumb
