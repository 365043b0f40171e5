// The operations on the host's cores: work is cut into pieces whose results do not depend on who
// computes them, and the pieces go through the loops of one tier.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/float_env.h"
#include "base/thread_pool.h"
#include "device/cpu/table.h"
#include "device/ref/kernels.h"

namespace plumb {

// Owned by the device; one thread calls it. The pool outlives it.
class CpuKernels final : public RefKernels {
 public:
  // Operations of fewer than `worth_waking` fused steps stay on the calling thread.
  CpuKernels(const cpu::KernelTable& table, ThreadPool& pool, std::int64_t worth_waking);

  // Device::fast_products().
  std::string_view fast_products() const {
    return table_.multiply_prepared != nullptr ? table_.name : "chain";
  }

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

 private:
  // Memory of one thread of the pool, grown when a larger problem comes.
  struct Scratch {
    std::vector<float> numbers, more;
    std::vector<float*> out;
    std::vector<const float*> rows;
    std::vector<cpu::PooledRow> pooled;
    std::vector<cpu::AttendState> states;
    std::vector<std::int32_t> places;
    std::vector<std::byte> tile, scales, queries, values;
    std::vector<float> parts, products;
    std::vector<float*> product_rows;
  };
  class FastAttention;
  // Neighbouring tokens of one sequence from t on.
  struct AttendRun {
    int t = 0;
    int tokens = 0;
  };
  // The n-th part of the rows that token t attends.
  struct AttendTask {
    int t = 0;
    std::int64_t n = 0;
  };
  // One product of several tokens, in parts by tiles of output rows.
  struct Product {
    const WeightView* w = nullptr;
    const float* const* x = nullptr;
    float* const* out = nullptr;
    int tokens = 0;
    int k_block = 0;
    bool round_bf16 = false;
    const std::byte* const* prepared = nullptr;  // fast, by the tier's own loops: instead of x
    int first_row = 0;                           // that out[0] stands for
  };
  // Activation rows as fast products take them: rounded floats, or rows of the tier's own form.
  struct FastRows {
    std::vector<std::byte> memory;
    std::vector<const float*> x;
    std::vector<const std::byte*> prepared;
  };
  // The pairs (token, expert) of one expert.
  struct ExpertGroup {
    const ExpertWeights* weights = nullptr;
    int first = 0;
    int count = 0;
    int k_up = 0, k_down = 0;
    FastInput kind_up = FastInput::kExact, kind_down = FastInput::kExact;
    std::int64_t first_piece = 0;  // of the gate and up products
    bool shared = false;
  };
  // Keys [first, last) to be scored for `tokens` tokens of one sequence from t on.
  struct IndexWork {
    int t = 0;
    int tokens = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
  };

  // body(begin, end, thread) over [0, items); on this thread alone when `cost`, in fused steps, is
  // less than waking the others is worth.
  template <class Body>
  void parallel(std::int64_t items, std::int64_t grain, std::int64_t cost, Body&& body) {
    if (pool_.size() == 1 || items <= grain || cost < worth_waking_) {
      const ScopedFloatEnv env;
      if (items > 0) body(std::int64_t{0}, items, 0);
      return;
    }
    pool_.run(items, grain, body);
  }

  void multiply(const Product& p, int first_tile, int last_tile, int thread);
  void multiply_row_major(const Product& p, int first_tile, int last_tile, int thread);
  void multiply_row_major_prepared(const Product& p, int first_tile, int last_tile, int thread);
  int tiles_per_piece(int tiles) const;
  bool own_form(FastInput kind) const {
    if (table_.multiply_prepared == nullptr) return false;
    return kind == FastInput::kInt8 || (kind == FastInput::kBf16 && table_.prepares_bf16);
  }
  std::size_t fast_row_bytes(FastInput kind, int cols) const;
  void write_fast_row(FastInput kind, const float* x, int cols, std::byte* out) const;
  // `tokens` rows of `cols` columns into `rows`, and pointers to them in the one list that
  // own_form() says.
  void make_fast_rows(FastInput kind, const float* const* x, int tokens, int cols, FastRows& rows);
  const float* mixing_logits(Mat<const float> streams, const WeightView& fn);

  void attend_heads(const AttendArgs& a, int t, int first_head, int last_head, Scratch& scratch);
  bool attends_fast(const AttendArgs& a) const;
  void attend_fast(const AttendArgs& a);
  void attend_runs(const AttendArgs& a, std::int64_t cost);
  void attend_parts(const AttendArgs& a, std::int64_t cost);
  void close_fast(const AttendArgs& a, const cpu::AttendPart& sum, int t, int group);
  void prepare_queries(const IndexTopKArgs& a);
  std::int64_t plan_scoring(const IndexTopKArgs& a, int first, int last);
  void choose_keys(const IndexTopKArgs& a, int t, Scratch& scratch);
  void score_block(const IndexTopKArgs& a, const IndexWork& work, std::int64_t first, int count,
                   Scratch& scratch);

  void group_pairs(const MoeArgs& a);
  void expert_inputs(const MoeArgs& a);
  void expert_fast_inputs(const MoeArgs& a, int inter);
  void expert_up(const MoeArgs& a);
  void expert_activation(const MoeArgs& a);
  void expert_down(const MoeArgs& a);

  const cpu::KernelTable& table_;
  ThreadPool& pool_;
  std::int64_t worth_waking_;
  std::vector<Scratch> scratch_;      // one per thread
  std::vector<const float*> x_rows_;  // of a product
  std::vector<float*> out_rows_;
  FastRows fast_rows_;
  std::vector<float> logits_;  // of the router and of mHC
  std::vector<AttendRun> attend_runs_;
  std::vector<AttendTask> attend_tasks_;
  std::vector<float> attend_memory_;  // parts of all tasks
  std::vector<float> index_weights_, scores_;
  std::vector<std::uint32_t> keys_;
  std::vector<IndexWork> index_work_;
  std::vector<float*> index_scores_;      // per token: of key 0
  std::vector<std::byte> index_queries_;  // of all tokens, packed
  std::int64_t index_query_bytes_ = 0;    // of one token
  bool index_packed_ = false;             // packed keys are scored by integers

  // Of moe: pairs (token, expert) ordered by expert, the shared expert's pairs last.
  std::vector<ExpertGroup> groups_;
  std::vector<int> pair_token_;
  std::vector<float> pair_weight_;
  std::vector<const float*> pair_x_, pair_a_;
  std::vector<float*> pair_g_, pair_u_;
  std::vector<float> quantised_, gate_, up_;
  FastRows fast_inputs_[3];           // by FastInput
  std::vector<std::byte> fast_acts_;  // of the down products
  std::vector<const std::byte*> pair_fast_x_;
  std::vector<std::byte*> pair_fast_a_;
  std::vector<std::int32_t> cursor_;
};

}  // namespace plumb
