// Choosing and weighting experts, shared by devices that only form the logits faster.
#pragma once

#include "device/kernels.h"

namespace plumb::ref {

// From the router's logits z[experts] of token t: fills row t of a.expert and a.weight. Overwrites
// z with the scores sqrt(softplus(z)).
void choose_experts(const RouteArgs& a, int t, float* z);

}  // namespace plumb::ref
