#include "device/ref/route.h"

#include <algorithm>
#include <vector>

#include "device/ref/kernels.h"
#include "tensor/math.h"

namespace plumb {
namespace {

// Ids of the k largest of score + bias, the lower id first on ties, by k scans.
void pick_largest(const float* score, const float* bias, int experts, int k, std::int32_t* picked) {
  const auto value = [score, bias](int e) {
    return bias == nullptr ? score[e] : score[e] + bias[e];
  };
  const auto taken = [picked](int e, int count) {
    return std::find(picked, picked + count, e) != picked + count;
  };
  for (int i = 0; i < k; ++i) {
    int best = -1;
    for (int e = 0; e < experts; ++e) {
      if (!taken(e, i) && (best < 0 || value(e) > value(best))) best = e;
    }
    picked[i] = best;
  }
}

}  // namespace

void ref::choose_experts(const RouteArgs& a, int t, const float* s) {
  std::int32_t* expert = a.expert.row(t);
  float* weight = a.weight.row(t);
  if (a.table != nullptr) {
    const std::int64_t* ids = a.table + static_cast<std::ptrdiff_t>(a.tokens[t]) * a.k;
    for (int i = 0; i < a.k; ++i) expert[i] = static_cast<std::int32_t>(ids[i]);
  } else {
    pick_largest(s, a.bias, a.gate.rows, a.k, expert);
  }
  std::sort(expert, expert + a.k);
  float sum = 0;
  for (int i = 0; i < a.k; ++i) sum += s[expert[i]];
  for (int i = 0; i < a.k; ++i) weight[i] = s[expert[i]] / sum * a.route_scale;
}

void RefKernels::route(const RouteArgs& a) {
  const int tokens = a.x.rows, experts = a.gate.rows;
  std::vector<float> z(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(experts));
  matmul({a.x, a.gate, 0, false, Mat<float>::dense(z.data(), tokens, experts)});
  for (float& score : z) score = math::sqrt_softplus(score);
  for (int t = 0; t < tokens; ++t) ref::choose_experts(a, t, z.data() + t * experts);
}

}  // namespace plumb
