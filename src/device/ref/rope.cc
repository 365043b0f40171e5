#include "device/ref/kernels.h"
#include "tensor/math.h"

namespace plumb {

void RefKernels::rope(const RopeArgs& a) {
  for (int n = 0; n < a.x.rows; ++n) {
    for (int pair = 0; pair < a.rope_dim / 2; ++pair) {
      const math::SinCos turn = math::sincos(static_cast<float>(a.position[n]) * a.freq[pair]);
      const float cos = turn.cos, sin = a.inverse ? -turn.sin : turn.sin;
      float* x = a.x.row(n) + a.head_dim - a.rope_dim + 2 * pair;
      for (; x < a.x.row(n) + a.x.cols; x += a.head_dim) {
        const float even = x[0], odd = x[1];
        x[0] = round_if(a.round_bf16, even * cos - odd * sin);
        x[1] = round_if(a.round_bf16, even * sin + odd * cos);
      }
    }
  }
}

}  // namespace plumb
