#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "tensor/format.h"

namespace plumb {

void RefKernels::matmul(const MatMulArgs& a) {
  std::vector<float> w(static_cast<std::size_t>(a.w.cols));
  for (int n = 0; n < a.w.rows; ++n) {
    dequantise(a.w, n, w);
    for (int t = 0; t < a.x.rows; ++t) {
      const float y = ref::blocked_chain(a.x.row(t), w.data(), a.w.cols, a.k_block);
      a.out.row(t)[n] = round_if(a.round_bf16, y);
    }
  }
}

}  // namespace plumb
