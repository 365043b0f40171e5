// What `fast` numerics do to the activations that meet a weight.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace plumb {

// kExact: nothing. kBf16: rounded to bfloat16. kInt8: per 128 columns, code = x * (127 / amax) rounded
// to nearest even, value = code * (amax / 127).
enum class FastInput : std::uint8_t { kExact, kBf16, kInt8 };

// By the weight's format and width alone, so that where a weight lies changes nothing: E2M1 with a
// scale per 32 columns and whole blocks: kInt8; E4M3 with whole groups of four columns, and bfloat16:
// kBf16; all else kExact.
FastInput fast_input(const WeightView& w);

// x[0, cols) -> out[0, cols), rounded. May be the same memory.
void round_fast_input(FastInput kind, const float* x, int cols, float* out);

}  // namespace plumb
