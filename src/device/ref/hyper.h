// The small part of mHC, shared with devices that only do the wide part faster.
#pragma once

#include "device/kernels.h"

namespace plumb::ref {

// From the mixing logits m[(2 + hc) * hc] (before the factor rho) of one token: pre[hc], post[hc]
// and comb[hc * hc] after Sinkhorn.
void hyper_weights(const HyperPreArgs& a, const float* m, float rho, float* pre, float* post,
                   float* comb);

// The head's weights of its streams from m[hc].
void hyper_head_weights(const HyperHeadArgs& a, const float* m, float rho, float* pre);

}  // namespace plumb::ref
