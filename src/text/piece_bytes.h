// Short texts as numbers, for tables of pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace plumb {

inline std::uint64_t load_eight(const char* p) {
  std::uint64_t value;
  std::memcpy(&value, p, 8);
  return value;
}

// One to eight bytes as a number; different for different texts of one length.
inline std::uint64_t short_key(std::string_view text) {
  const char* p = text.data();
  const std::size_t n = text.size();
  if (n == 8) return load_eight(p);
  if (n >= 4) {
    std::uint32_t first, last;
    std::memcpy(&first, p, 4);
    std::memcpy(&last, p + n - 4, 4);
    return std::uint64_t{last} << 32 | first;
  }
  const auto byte = [&](std::size_t i) { return std::uint64_t{static_cast<std::uint8_t>(p[i])}; };
  return byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
}

inline std::uint64_t mix(std::uint64_t x) {
  x *= 0x9E3779B97F4A7C15;
  return x ^ x >> 32;
}

}  // namespace plumb
