// A state as it could be after a long prompt, without reading one: for measuring at depth.
#pragma once

#include <cstdint>

#include "model/deepseek_v4/step.h"
#include "model/deepseek_v4/weights.h"

namespace plumb::deepseek_v4 {

// Rows [first, first + x.rows) of stream `stream` of random numbers: uniform with mean 0 and
// deviation 1, a function of seed, stream and place alone.
void random_rows(Mat<float> x, std::uint64_t seed, std::uint64_t stream, Pos first);

// Writes everything that a sequence of `tokens` tokens keeps. Window and compressed rows are random
// rows that passed the norm, the rotation and the storage simulation of their layer, as real ones
// do; raw rows are random as they are. `state` is empty and has room for `tokens`.
void fill_state(const Context& c, const Weights& w, SequenceState& state, Pos tokens,
                std::uint64_t seed, Activations& a);

}  // namespace plumb::deepseek_v4
