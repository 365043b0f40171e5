// Choosing the largest scores, shared by devices that only score faster.
#pragma once

#include <cstdint>

namespace plumb::ref {

// The top_k largest of score[0, n), n > top_k, lower index first on ties (NaN counts as largest);
// written in ascending order. `keys` is scratch of n.
void select_top_k(const float* score, std::int64_t n, int top_k, std::uint32_t* keys,
                  std::int32_t* selected);

}  // namespace plumb::ref
