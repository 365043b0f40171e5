// Random numbers that are a function of where they are used, not of what was drawn before.
#pragma once

#include <array>
#include <cstdint>

namespace plumb {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011): ten rounds over a 128-bit counter with a 64-bit key. Same bits on every machine.
inline std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                               std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// 64 random bits for (seed, position, stream). Streams of one seed are independent: use one per
// purpose. Sampling uses stream 0 and the position of the token drawn.
inline std::uint64_t random_bits(std::uint64_t seed, std::uint64_t position,
                                 std::uint64_t stream = 0) {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  const auto bits = philox4x32({low(position), high(position), low(stream), high(stream)},
                               {low(seed), high(seed)});
  return std::uint64_t{bits[1]} << 32 | bits[0];
}

// A multiple of 2^-53 in [0, 1), every one equally likely.
inline double uniform(std::uint64_t seed, std::uint64_t position, std::uint64_t stream = 0) {
  return static_cast<double>(random_bits(seed, position, stream) >> 11) * 0x1p-53;
}

}  // namespace plumb
