#include <vector>

#include "device/cpu/kernels.h"
#include "device/cpu/scratch.h"
#include "device/ref/hyper.h"
#include "tensor/math.h"

namespace plumb {
namespace {

constexpr int kMostStreams = 8;  // that the wide loops hold; more go the plain way

}  // namespace

// m[t][i] = fn[i] . streams[t], valid until the next call.
const float* CpuKernels::mixing_logits(Mat<const float> streams, const WeightView& fn) {
  float* m = cpu::grow(logits_, streams.rows * fn.rows);
  matmul({streams, fn, 0, false, Mat<float>::dense(m, streams.rows, fn.rows)});
  return m;
}

void CpuKernels::hyper_pre(const HyperPreArgs& a) {
  const int d = a.y.cols, wide = a.streams.cols, mixes = a.fn.rows;
  const float* m = mixing_logits(a.streams, a.fn);
  const auto pre = [&](std::int64_t begin, std::int64_t end, int thread) {
    float* weight = cpu::grow(scratch_[static_cast<std::size_t>(thread)].numbers, a.hc);
    for (auto t = static_cast<int>(begin); t < end; ++t) {
      const float* x = a.streams.row(t);
      const float mean = table_.sum_of_squares(x, wide) / static_cast<float>(wide);
      const float rho = math::rsqrt(mean + a.norm_eps);
      table_.hyper_weights(m + t * mixes, rho, a.scale, a.base, a.hc, a.iterations, a.hc_eps,
                           weight, a.post.row(t), a.comb.row(t));
      table_.weigh_streams(x, weight, a.hc, d, a.round_bf16, a.y.row(t));
    }
  };
  parallel(a.streams.rows, 1, a.streams.rows * (2 * std::int64_t{wide} + 4'000), pre);
}

void CpuKernels::hyper_post(const HyperPostArgs& a) {
  if (a.hc > kMostStreams) return RefKernels::hyper_post(a);
  const int d = a.f.cols;
  const auto post = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto t = static_cast<int>(begin); t < end; ++t) {
      table_.mix_streams(a.f.row(t), a.streams.row(t), a.post.row(t), a.comb.row(t), a.hc, d,
                         a.round_bf16, a.out.row(t));
    }
  };
  parallel(a.f.rows, 1, std::int64_t{a.f.rows} * a.hc * a.hc * d, post);
}

void CpuKernels::hyper_head(const HyperHeadArgs& a) {
  const int wide = a.streams.cols;
  const float* m = mixing_logits(a.streams, a.fn);
  std::vector<float> weight(static_cast<std::size_t>(a.hc));
  const ScopedFloatEnv env;
  for (int t = 0; t < a.streams.rows; ++t) {
    const float* x = a.streams.row(t);
    const float mean = table_.sum_of_squares(x, wide) / static_cast<float>(wide);
    ref::gates(m + t * a.hc, math::rsqrt(mean + a.norm_eps), a.scale[0], a.base, a.hc, a.hc_eps,
               weight.data());
    table_.weigh_streams(x, weight.data(), a.hc, a.y.cols, a.round_bf16, a.y.row(t));
  }
}

}  // namespace plumb
