// The quantise-and-return step on one row, shared by fake_quant and moe.
#pragma once

#include "device/kernels.h"

namespace plumb::ref {

// x[0, cols) -> out[0, cols), per `block` columns (the last may be partial). May be the same
// memory.
void fake_quant_row(const float* x, float* out, int cols, int block, FakeQuantArgs::Kind kind);

}  // namespace plumb::ref
