#include <algorithm>
#include <vector>

#include "device/ref/kernels.h"
#include "device/ref/order.h"
#include "device/ref/rows.h"
#include "tensor/math.h"

namespace plumb {
namespace {

constexpr int kBlock = 64;

// Softmax with a running maximum for one head of one token.
class Head {
 public:
  Head(const AttendArgs& a, const float* q) : a_(a), q_(q), acc_(static_cast<std::size_t>(a.dim)) {}

  // Takes up to 64 rows, in order.
  void add_block(const std::vector<const float*>& rows) {
    float score[kBlock];
    float top = top_;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      score[i] = ref::lanes(q_, rows[i], a_.dim) * a_.scale;
      top = score[i] > top ? score[i] : top;
    }
    const float factor = math::exp(top_ - top);
    den_ *= factor;
    for (float& x : acc_) x *= factor;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float p = math::exp(score[i] - top);
      den_ += p;
      const float weight = round_if(a_.round_probabilities, p);
      for (std::size_t c = 0; c < acc_.size(); ++c) {
        acc_[c] = __builtin_fmaf(weight, rows[i][c], acc_[c]);
      }
    }
    top_ = top;
  }

  void finish(float sink, float* out) {
    den_ += math::exp(sink - top_);
    for (std::size_t c = 0; c < acc_.size(); ++c) out[c] = round_if(a_.round_bf16, acc_[c] / den_);
  }

 private:
  const AttendArgs& a_;
  const float* q_;
  std::vector<float> acc_;
  float top_ = -__builtin_inff();
  float den_ = 0;
};

// The blocks of rows that one token attends, in the order in which they are taken.
class RowBlocks {
 public:
  RowBlocks(const AttendArgs& a, int t)
      : a_(a),
        t_(t),
        scratch_(static_cast<std::size_t>(kBlock) * static_cast<std::size_t>(a.dim)) {}

  template <class Visit>
  void for_each(Visit visit) {
    const std::int32_t sequence = a_.sequence[t_];
    const Pos last = a_.position[t_];
    const ref::AttendBlocks blocks(a_, t_);
    const bool all = a_.selected.data == nullptr;
    const std::int64_t count = a_.compressed == nullptr ? 0 : all ? a_.visible[t_] : a_.count[t_];
    rows_.clear();
    for (Pos p = blocks.first; p <= last;) {
      const Pos end = std::min(last + 1, blocks.window_end(p));
      for (; p < end; ++p) {
        rows_.push_back(ref::history_row(a_.window_rows[sequence], p, a_.dim));
      }
      if (p > last && count > 0 && blocks.joined(last)) break;
      visit(rows_);
      rows_.clear();
    }
    for (std::int64_t i = 0; i < count;) {
      const std::int64_t end = std::min(count, blocks.compressed_end(i));
      for (; i < end; ++i) {
        float* scratch = scratch_.data() + static_cast<std::ptrdiff_t>(rows_.size()) * a_.dim;
        const std::int64_t id = all ? i : a_.selected.row(t_)[i];
        rows_.push_back(ref::read_paged_row(a_.compressed[sequence], id, a_.dim, scratch));
      }
      visit(rows_);
      rows_.clear();
    }
  }

 private:
  const AttendArgs& a_;
  int t_;
  std::vector<float> scratch_;
  std::vector<const float*> rows_;
};

}  // namespace

void RefKernels::attend(const AttendArgs& a) {
  for (int t = 0; t < a.q.rows; ++t) {
    RowBlocks blocks(a, t);
    for (int n = 0; n < a.heads; ++n) {
      Head head(a, a.q.row(t) + n * a.dim);
      blocks.for_each([&head](const std::vector<const float*>& rows) { head.add_block(rows); });
      head.finish(a.sink[n], a.out.row(t) + n * a.dim);
    }
  }
}

}  // namespace plumb
