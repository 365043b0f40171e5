// What every operation means, bit for bit: plain scalar code on row-major weights, one thread.
#pragma once

#include "device/kernels.h"

namespace plumb {

// Stateless; thread-safe as far as the memory it is given is.
class RefKernels : public Kernels {
 public:
  void embed(const EmbedArgs&) override;
  void rms_norm(const RmsNormArgs&) override;
  void fake_quant(const FakeQuantArgs&) override;
  void hadamard(const HadamardArgs&) override;
  void matmul(const MatMulArgs&) override;
  void rope(const RopeArgs&) override;
  void hyper_pre(const HyperPreArgs&) override;
  void hyper_post(const HyperPostArgs&) override;
  void hyper_head(const HyperHeadArgs&) override;
  void compress(const CompressArgs&) override;
  void store_rows(const StoreRowsArgs&) override;
  void index_top_k(const IndexTopKArgs&) override;
  void attend(const AttendArgs&) override;
  void route(const RouteArgs&) override;
  void moe(const MoeArgs&) override;
};

}  // namespace plumb
