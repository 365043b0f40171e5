// Choosing and weighting experts, shared by devices that only form the logits faster.
#pragma once

#include "device/kernels.h"
#include "tensor/math.h"

namespace plumb::ref {

// From the scores s[experts] of token t: fills row t of a.expert and a.weight.
void choose_experts(const RouteArgs& a, int t, const float* s);

}  // namespace plumb::ref
