#include <vector>

#include "device/fast_input.h"
#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "tensor/format.h"

namespace plumb {

void RefKernels::matmul(const MatMulArgs& a) {
  std::vector<float> w(static_cast<std::size_t>(a.w.cols)), rounded;
  Mat<const float> x = a.x;
  if (a.fast) {
    rounded.resize(static_cast<std::size_t>(x.rows) * static_cast<std::size_t>(x.cols));
    const Mat<float> to = Mat<float>::dense(rounded.data(), x.rows, x.cols);
    for (int t = 0; t < x.rows; ++t) {
      round_fast_input(fast_input(a.w), x.row(t), x.cols, to.row(t));
    }
    x = to;
  }
  const int k_block = a.fast ? 0 : a.k_block;
  for (int n = 0; n < a.w.rows; ++n) {
    dequantise(a.w, n, w);
    for (int t = 0; t < x.rows; ++t) {
      const float y = ref::blocked_chain(x.row(t), w.data(), a.w.cols, k_block);
      a.out.row(t)[n] = round_if(a.round_bf16, y);
    }
  }
}

}  // namespace plumb
