#include "device/ref/index.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "device/ref/rows.h"

namespace plumb {

void ref::select_top_k(const float* score, std::int64_t n, int top_k, std::int32_t* order,
                       std::int32_t* selected) {
  std::iota(order, order + n, 0);
  const auto before = [score](std::int32_t a, std::int32_t b) {
    const float x = score[a], y = score[b];
    const bool x_nan = x != x, y_nan = y != y;
    if (x_nan != y_nan) return x_nan;
    if (!x_nan && x != y) return x > y;
    return a < b;
  };
  std::nth_element(order, order + top_k, order + n, before);
  std::sort(order, order + top_k);
  std::copy_n(order, top_k, selected);
}

void RefKernels::index_top_k(const IndexTopKArgs& a) {
  std::vector<float> score, scratch(static_cast<std::size_t>(a.dim));
  std::vector<float> w(static_cast<std::size_t>(a.heads));
  std::vector<std::int32_t> order;
  for (int t = 0; t < a.q.rows; ++t) {
    std::int32_t* selected = a.selected.row(t);
    const std::int64_t visible = a.visible[t];
    if (visible <= a.top_k) {
      std::iota(selected, selected + visible, 0);
      a.count[t] = static_cast<std::int32_t>(visible);
      continue;
    }
    score.resize(static_cast<std::size_t>(visible));
    order.resize(static_cast<std::size_t>(visible));
    for (std::size_t n = 0; n < w.size(); ++n) {
      w[n] = round_if(a.round_bf16, a.w.row(t)[n] * a.w_scale);
    }
    for (std::int64_t i = 0; i < visible; ++i) {
      const float* key = ref::read_paged_row(a.keys[a.sequence[t]], i, a.dim, scratch.data());
      float sum = 0;
      for (int n = 0; n < a.heads; ++n) {
        const float dot = ref::lanes(a.q.row(t) + n * a.dim, key, a.dim);
        sum = __builtin_fmaf(w[static_cast<std::size_t>(n)], dot > 0.0f ? dot : 0.0f, sum);
      }
      score[static_cast<std::size_t>(i)] = sum;
    }
    ref::select_top_k(score.data(), visible, a.top_k, order.data(), selected);
    a.count[t] = a.top_k;
  }
}

}  // namespace plumb
