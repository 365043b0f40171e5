// A smaller copy of the output head for drafts. They are guesses: what they need is its opinion,
// not its bits, and reading a large head once per guess is most of what a guess costs.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "device/device.h"
#include "tensor/tensor.h"

namespace plumb::deepseek_v4 {

// Places a copy of `head` (published bytes, row-major) as E4M3 with a power-of-two scale per 128 x
// 128 on the device. A head that has scales already, or that holds a value no such block can hold,
// is not copied: then the result has no data.
Result<WeightView> place_draft_head(const WeightView& head, Device& device);

std::size_t draft_head_bytes(int rows, int cols);  // of the copy

}  // namespace plumb::deepseek_v4
