// The loops that show what a core can do: reading memory, and multiplying in three number formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plumb::measure {

enum class Peak : std::uint8_t { kInt8, kBF16, kF32 };

struct PeakLoop {
  Peak peak = Peak::kF32;
  const char* instruction = nullptr;
  double ops = 0;  // of one iteration; a multiplication and an addition are two
  // Returns something that depends on all of it.
  float (*run)(std::int64_t iterations) = nullptr;
};

// The best loop of each kind that this processor has an instruction for; int8 and bf16 may be
// absent.
std::span<const PeakLoop> peak_loops();

// Reads `bytes`, a multiple of 512, with the widest loads there are.
std::uint64_t read_memory(const std::byte* data, std::size_t bytes);

}  // namespace plumb::measure
