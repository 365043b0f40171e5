#include <algorithm>
#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/quant.h"
#include "tensor/math.h"

namespace plumb {
namespace {

constexpr int kInputBlock = 128;

// One expert on one token: y = w2 (silu(g) * u * weight).
class ExpertRun {
 public:
  ExpertRun(Kernels& kernels, const MoeArgs& a) : kernels_(kernels), a_(a) {}

  // The result lives until the next call.
  const float* run(const ExpertWeights& e, const float* x, float weight, int k_up, int k_down) {
    const int inter = e.w1.rows, d = e.w2.rows;
    product(e.w1, x, k_up, gate_);
    product(e.w3, x, k_up, up_);
    for (int i = 0; i < inter; ++i) {
      float g = gate_[static_cast<std::size_t>(i)], u = up_[static_cast<std::size_t>(i)];
      if (a_.clamp > 0) {
        u = u < -a_.clamp ? -a_.clamp : u > a_.clamp ? a_.clamp : u;
        g = g > a_.clamp ? a_.clamp : g;
      }
      gate_[static_cast<std::size_t>(i)] = round_if(a_.round_bf16, math::silu(g) * u * weight);
    }
    if (a_.quantise_inputs) {
      ref::fake_quant_row(gate_.data(), gate_.data(), inter, kInputBlock,
                          FakeQuantArgs::Kind::kE4M3);
    }
    out_.resize(static_cast<std::size_t>(d));
    product(e.w2, gate_.data(), k_down, out_);
    return out_.data();
  }

 private:
  void product(const WeightView& w, const float* x, int k_block, std::vector<float>& y) {
    y.resize(static_cast<std::size_t>(w.rows));
    kernels_.matmul({Mat<const float>::dense(x, 1, w.cols), w, k_block, a_.round_bf16,
                     Mat<float>::dense(y.data(), 1, w.rows), a_.fast});
  }

  Kernels& kernels_;
  const MoeArgs& a_;
  std::vector<float> gate_, up_, out_;
};

}  // namespace

void RefKernels::moe(const MoeArgs& a) {
  const int d = a.x.cols;
  ExpertRun expert(*this, a);
  std::vector<float> x(static_cast<std::size_t>(d)), sum(static_cast<std::size_t>(d));
  for (int t = 0; t < a.x.rows; ++t) {
    std::copy_n(a.x.row(t), d, x.begin());
    if (a.quantise_inputs) {
      ref::fake_quant_row(x.data(), x.data(), d, kInputBlock, FakeQuantArgs::Kind::kE4M3);
    }
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (int i = 0; i < a.expert.cols; ++i) {
      const ExpertWeights& weights = a.experts[static_cast<std::size_t>(a.expert.row(t)[i])];
      const float* y =
          expert.run(weights, x.data(), a.weight.row(t)[i], a.k_block_up, a.k_block_down);
      for (int c = 0; c < d; ++c) sum[static_cast<std::size_t>(c)] += y[c];
    }
    const float* y = expert.run(a.shared, x.data(), 1.0f, a.k_block_shared, a.k_block_shared);
    for (int c = 0; c < d; ++c) {
      a.out.row(t)[c] = round_if(a.round_bf16, sum[static_cast<std::size_t>(c)] + y[c]);
    }
  }
}

}  // namespace plumb
