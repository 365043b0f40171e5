// Error measures between two vectors of numbers; sums are formed in double.
#pragma once

#include <span>

namespace plumb {

// max |a - b|; NaN when any difference is NaN. Sizes must agree.
double max_abs_error(std::span<const float> a, std::span<const float> b);

// |a - b| / |b| in the Euclidean norm; `b` is the reference. 0 when both are zero.
double relative_l2(std::span<const float> a, std::span<const float> b);

// KL(softmax(p) || softmax(q)) in nats, from logits.
double kl_divergence(std::span<const float> p_logits, std::span<const float> q_logits);

}  // namespace plumb
