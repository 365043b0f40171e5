// Rotary frequencies of a layer (spec 2.3).
#pragma once

#include <vector>

#include "model/deepseek_v4/config.h"

namespace plumb::deepseek_v4 {

// [rope_dim / 2] for a layer: base theta for window layers and the draft block, the compressed theta
// with YaRN for the others. Rounded to fp32 at the reference's points, since at a million tokens one
// ulp of a frequency is a visible angle.
std::vector<float> rope_frequencies(const Config& config, AttentionKind kind);

}  // namespace plumb::deepseek_v4
