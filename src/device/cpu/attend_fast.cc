// Attention of `fast` numerics. The rows of a token are cut into parts of 128, the window's at
// multiples of that position, the compressed ones at multiples of that place in their list; each
// part has a softmax of its own, and parts are merged in order. So tokens may share the unpacking
// of a part, and threads may share a token's parts, without changing a bit.
#include <algorithm>

#include "device/cpu/kernels.h"
#include "device/cpu/rows.h"
#include "device/cpu/scratch.h"
#include "device/ref/rows.h"

namespace plumb {
namespace {

using cpu::AttendPart;
using cpu::grow;
using cpu::kAttendLanes;
using cpu::kAttendPartRows;
using cpu::kAttendRows;

constexpr int kMostTokens = 8;  // that share unpacked rows
constexpr int kScores = kAttendPartRows * kAttendLanes;

int part_floats(int dim) { return (2 + dim) * kAttendLanes; }

AttendPart part_at(float* memory) {
  return {memory, memory + kAttendLanes, memory + 2 * kAttendLanes};
}

// Rows that a token attends within its sequence.
struct Rows {
  Pos first = 0, last = 0;  // of the window, by position
  std::int64_t listed = 0;  // compressed ones
  bool chosen = false;      // the list is the token's own; else it is 0, 1, 2, ...

  Rows(const AttendArgs& a, int t)
      : first(std::max<Pos>(0, a.position[t] - a.window + 1)), last(a.position[t] + 1) {
    if (a.compressed == nullptr) return;
    listed = a.selected.data == nullptr ? a.visible[t] : a.count[t];
    chosen = listed < a.visible[t];
  }
  Pos first_part() const { return first / kAttendPartRows; }
  Pos window_parts() const { return (last - 1) / kAttendPartRows + 1 - first_part(); }
  std::int64_t listed_parts() const { return (listed + kAttendPartRows - 1) / kAttendPartRows; }
  std::int64_t parts() const { return window_parts() + listed_parts(); }
};

// The rows of one part that somebody attends.
struct Span {
  bool window = false;
  std::int64_t base = 0;    // position or place of row 0
  int first = 0, last = 0;  // rows; none when first >= last

  Span(bool of_window, std::int64_t part, const Rows& rows)
      : window(of_window), base(part * kAttendPartRows) {
    const std::int64_t begin = window ? rows.first : 0, end = window ? rows.last : rows.listed;
    first = static_cast<int>(std::clamp<std::int64_t>(begin - base, 0, kAttendPartRows));
    last = static_cast<int>(std::clamp<std::int64_t>(end - base, 0, kAttendPartRows));
  }
};

}  // namespace

// One thread's work on tokens [t, t + tokens), neighbours in one sequence, and up to 16 heads.
class CpuKernels::FastAttention {
 public:
  FastAttention(const AttendArgs& a, const cpu::KernelTable& table, Scratch& scratch, int t,
                int tokens, int group)
      : a_(a), table_(table), t_(t), tokens_(tokens) {
    const int head = group * kAttendLanes;
    heads_ = std::min(kAttendLanes, a.heads - head);
    const auto query_bytes = static_cast<std::size_t>(a.dim) / 2 * 64;
    std::byte* queries = grow(scratch.queries, query_bytes * static_cast<std::size_t>(tokens));
    for (int i = 0; i < tokens; ++i) {
      queries_[i] = queries + query_bytes * static_cast<std::size_t>(i);
      table.attend_queries(a.q.row(t + i) + head * a.dim, heads_, a.dim, queries_[i]);
    }
    keys_ = grow(scratch.tile, kAttendRows * cpu::kAttendKeyStride);
    values_ = grow(scratch.values, a.dim / 16 * cpu::kAttendValueStride);
    scores_ = grow(scratch.numbers, tokens * kScores);
    decoded_ = grow(scratch.more, (kAttendRows + 1) * a.dim);
    std::fill_n(decoded_ + kAttendRows * a.dim, a.dim, 0.0f);
  }

  // All parts of all tokens, merged into sums[i] of token t + i.
  void all(const AttendPart& part, const AttendPart* sums) {
    std::int64_t listed = 0;
    Pos last = 0;
    bool chosen = false;
    for (int i = 0; i < tokens_; ++i) {
      const Rows rows(a_, t_ + i);
      last = std::max(last, rows.first_part() + rows.window_parts());
      listed = std::max(listed, rows.listed_parts());
      chosen = chosen || rows.chosen;
    }
    for (Pos p = Rows(a_, t_).first_part(); p < last; ++p) shared(true, p, 0, tokens_, part, sums);
    // Lists of their own are taken token by token.
    for (int i = 0; i < tokens_; i += chosen ? 1 : tokens_) {
      for (std::int64_t p = 0; p < listed; ++p) {
        shared(false, p, i, chosen ? i + 1 : tokens_, part, sums);
      }
    }
  }

  // The n-th part of the only token.
  void one(std::int64_t n, const AttendPart& part) {
    const Rows rows(a_, t_);
    const Pos window = rows.window_parts();
    const bool of_window = n < window;
    const Span span(of_window, of_window ? rows.first_part() + n : n - window, rows);
    score(span, 0, 1);
    weigh(span, 0, part);
  }

 private:
  void shared(bool window, std::int64_t number, int begin, int end, const AttendPart& part,
              const AttendPart* sums) {
    Span all(window, number, Rows(a_, t_ + begin));
    for (int i = begin + 1; i < end; ++i) {
      const Span span(window, number, Rows(a_, t_ + i));
      all.first = std::min(all.first, span.first);
      all.last = std::max(all.last, span.last);
    }
    if (all.first >= all.last) return;
    score(all, begin, end);
    for (int i = begin; i < end; ++i) {
      const Span span(window, number, Rows(a_, t_ + i));
      if (span.first >= span.last) continue;
      weigh(span, i, part);
      table_.attend_merge(part, a_.dim, sums[i]);
    }
  }

  // Unpacks the rows of a span, and scores them for tokens [begin, end).
  void score(const Span& all, int begin, int end) {
    for (int row = all.first / kAttendRows * kAttendRows; row < all.last; row += kAttendRows) {
      const float* rows[kAttendRows];
      find(all, row, begin, rows);
      table_.attend_rows(rows, a_.dim, keys_, values_ + row / 2 * 64);
      for (int i = begin; i < end; ++i) {
        table_.attend_scores(queries_[i], keys_, a_.dim,
                             scores_ + i * kScores + row * kAttendLanes);
      }
    }
  }

  // Rows row .. row + 15 of a span; zeros past its ends.
  void find(const Span& all, int row, int token, const float** rows) {
    const int first = std::max(all.first, row), last = std::min(all.last, row + kAttendRows);
    const std::int32_t sequence = a_.sequence[t_ + token];
    for (int r = 0; r < kAttendRows; ++r) rows[r] = decoded_ + kAttendRows * a_.dim;
    if (all.window) {
      for (int r = first; r < last; ++r) {
        rows[r - row] = ref::history_row(a_.window_rows[sequence], all.base + r, a_.dim);
      }
      return;
    }
    const PagedRows& pages = a_.compressed[sequence];
    if (!Rows(a_, t_ + token).chosen) {
      cpu::read_rows(table_, pages, all.base + first, last - first, a_.dim, decoded_, a_.dim,
                     rows + (first - row));
      return;
    }
    const std::int32_t* list = a_.selected.row(t_ + token) + all.base;
    for (int r = first + kAttendRows; r < std::min(all.last, last + kAttendRows); ++r) {
      prefetch(pages, list[r]);
    }
    for (int r = first; r < last; ++r) {
      cpu::read_rows(table_, pages, list[r], 1, a_.dim, decoded_ + (r - row) * a_.dim, a_.dim,
                     rows + (r - row));
    }
  }

  // Chosen rows lie anywhere in memory: they are asked for before they are wanted.
  void prefetch(const PagedRows& pages, std::int64_t index) const {
    const std::byte* row = ref::paged_row(pages, index, a_.dim);
    const std::byte* end = row + row_bytes(pages.format, a_.dim);
    for (; row < end; row += 64) __builtin_prefetch(row);
  }

  void weigh(const Span& span, int token, const AttendPart& part) {
    table_.attend_weigh(scores_ + token * kScores, span.first, span.last, a_.scale, values_, a_.dim,
                        part);
  }

  const AttendArgs& a_;
  const cpu::KernelTable& table_;
  int t_, tokens_, heads_ = 0;
  std::byte* queries_[kMostTokens] = {};
  std::byte *keys_ = nullptr, *values_ = nullptr;
  float *scores_ = nullptr, *decoded_ = nullptr;
};

void CpuKernels::close_fast(const AttendArgs& a, const AttendPart& sum, int t, int group) {
  const int head = group * kAttendLanes, heads = std::min(kAttendLanes, a.heads - head);
  table_.attend_close(sum, a.sink + head, heads, a.dim, a.round_bf16, a.out.row(t) + head * a.dim);
}

// Runs of neighbouring tokens, each one thread's work from the first row to the result.
void CpuKernels::attend_runs(const AttendArgs& a, std::int64_t cost) {
  const int groups = (a.heads + kAttendLanes - 1) / kAttendLanes, dim = a.dim;
  const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
    Scratch& scratch = scratch_[static_cast<std::size_t>(thread)];
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [t, tokens] = attend_runs_[static_cast<std::size_t>(i / groups)];
      const auto group = static_cast<int>(i % groups);
      float* memory = grow(scratch.parts, (tokens + 1) * part_floats(dim));
      AttendPart sums[kMostTokens];
      for (int n = 0; n < tokens; ++n) {
        sums[n] = part_at(memory + (n + 1) * part_floats(dim));
        std::fill_n(sums[n].top, part_floats(dim), 0.0f);
        std::fill_n(sums[n].top, kAttendLanes, -__builtin_inff());
      }
      FastAttention(a, table_, scratch, t, tokens, group).all(part_at(memory), sums);
      for (int n = 0; n < tokens; ++n) close_fast(a, sums[n], t + n, group);
    }
  };
  parallel(static_cast<std::int64_t>(attend_runs_.size()) * groups, 1, cost, run);
}

// Few tokens: their parts are shared out, and merged when all are there.
void CpuKernels::attend_parts(const AttendArgs& a, std::int64_t cost) {
  const int groups = (a.heads + kAttendLanes - 1) / kAttendLanes, dim = a.dim;
  attend_tasks_.clear();
  for (int t = 0; t < a.q.rows; ++t) {
    for (std::int64_t n = 0; n < Rows(a, t).parts(); ++n) attend_tasks_.push_back({t, n});
  }
  const auto tasks = static_cast<std::int64_t>(attend_tasks_.size());
  float* memory = grow(attend_memory_, (tasks + 1) * groups * part_floats(dim));
  const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [t, n] = attend_tasks_[static_cast<std::size_t>(i / groups)];
      FastAttention(a, table_, scratch_[static_cast<std::size_t>(thread)], t, 1,
                    static_cast<int>(i % groups))
          .one(n, part_at(memory + i * part_floats(dim)));
    }
  };
  parallel(tasks * groups, 1, cost, run);
  float* sums = memory + tasks * groups * part_floats(dim);
  const auto merge = [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t g = begin; g < end; ++g) {
      const AttendPart sum = part_at(sums + g * part_floats(dim));
      for (std::int64_t i = 0; i < tasks; ++i) {
        const auto [t, n] = attend_tasks_[static_cast<std::size_t>(i)];
        if (n == 0) {
          std::fill_n(sum.top, part_floats(dim), 0.0f);
          std::fill_n(sum.top, kAttendLanes, -__builtin_inff());
        }
        table_.attend_merge(part_at(memory + (i * groups + g) * part_floats(dim)), dim, sum);
        const bool last = i + 1 == tasks || attend_tasks_[static_cast<std::size_t>(i + 1)].t != t;
        if (last) close_fast(a, sum, t, static_cast<int>(g));
      }
    }
  };
  parallel(groups, 1, tasks * groups * dim * 2, merge);
}

bool CpuKernels::attends_fast(const AttendArgs& a) const {
  return a.fast && table_.attend_rows != nullptr && a.dim % 32 == 0 && a.dim <= cpu::kAttendMostDim;
}

void CpuKernels::attend_fast(const AttendArgs& a) {
  const int tokens = a.q.rows, threads = pool_.size();
  const int groups = (a.heads + kAttendLanes - 1) / kAttendLanes;
  const int together = std::clamp(tokens * groups / (4 * threads), 1, kMostTokens);
  attend_runs_.clear();
  std::int64_t rows = 0;
  for (int t = 0; t < tokens; ++t) {
    const Rows own(a, t);
    rows += own.last - own.first + own.listed;
    const bool joins = !attend_runs_.empty() && attend_runs_.back().tokens < together &&
                       a.sequence[t] == a.sequence[t - 1] && a.position[t] == a.position[t - 1] + 1;
    if (joins) {
      ++attend_runs_.back().tokens;
    } else {
      attend_runs_.push_back({t, 1});
    }
  }
  const std::int64_t cost = rows * a.heads * a.dim;
  const auto items = static_cast<std::int64_t>(attend_runs_.size()) * groups;
  if (threads == 1 || items >= 2 * threads) return attend_runs(a, cost);
  attend_parts(a, cost);
}

}  // namespace plumb
