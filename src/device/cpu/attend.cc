#include <algorithm>

#include "device/cpu/kernels.h"
#include "device/cpu/rows.h"
#include "device/cpu/scratch.h"
#include "device/ref/rows.h"

namespace plumb {
namespace {

using cpu::grow;

constexpr int kBlock = 64;       // rows that are taken together
constexpr int kRowsAhead = 4;    // whose bytes are on their way
constexpr int kRowPadding = 16;  // between unpacked rows, lest one column fall into few cache sets
constexpr int kHeadsTogether = 16;  // that are worth unpacking rows for

std::int64_t compressed_count(const AttendArgs& a, int t) {
  if (a.compressed == nullptr) return 0;
  return a.selected.data == nullptr ? a.visible[t] : a.count[t];
}

// Chosen rows lie anywhere in memory: the i-th is asked for before it is wanted.
void prefetch_row(const AttendArgs& a, int t, std::int64_t i) {
  const PagedRows& pages = a.compressed[a.sequence[t]];
  const std::byte* row = ref::paged_row(pages, a.selected.row(t)[i], a.dim);
  const std::byte* end = row + row_bytes(pages.format, a.dim);
  for (; row < end; row += 64) __builtin_prefetch(row);
}

}  // namespace

void CpuKernels::attend_heads(const AttendArgs& a, int t, int first_head, int last_head,
                              Scratch& scratch) {
  const int heads = last_head - first_head;
  const std::int32_t sequence = a.sequence[t];
  const cpu::AttendShape shape{a.dim, a.scale, a.round_probabilities};
  float* acc = grow(scratch.numbers, heads * a.dim);
  const int stride = a.dim + kRowPadding;
  float* decoded = grow(scratch.more, kBlock * stride);
  std::fill_n(acc, heads * a.dim, 0.0f);
  const float** rows = grow(scratch.rows, kBlock + heads);
  const float** q = rows + kBlock;
  std::vector<cpu::AttendState>& states = scratch.states;
  states.resize(static_cast<std::size_t>(heads));
  for (int h = 0; h < heads; ++h) {
    states[static_cast<std::size_t>(h)] = {acc + h * a.dim, -__builtin_inff(), 0};
    q[h] = a.q.row(t) + (first_head + h) * a.dim;
  }
  int count = 0;  // rows of the block at hand
  const auto take = [&] {
    table_.attend_block(shape, q, rows, count, states.data(), heads);
    count = 0;
  };
  const Pos last = a.position[t];
  const std::int64_t total = compressed_count(a, t);
  const ref::AttendBlocks blocks(a, t);
  for (Pos p = blocks.first; p <= last;) {
    const Pos end = std::min(last + 1, blocks.window_end(p));
    for (; p < end; ++p) rows[count++] = ref::history_row(a.window_rows[sequence], p, a.dim);
    if (p > last && total > 0 && blocks.joined(last)) break;
    take();
  }
  for (std::int64_t i = 0; i < total;) {
    const std::int64_t end = std::min(total, blocks.compressed_end(i));
    const auto some = static_cast<int>(end - i);
    if (a.selected.data == nullptr) {
      read_rows(table_, a.compressed[sequence], i, some, a.dim, decoded, stride, rows + count);
    } else {
      for (int r = 0; r < some; ++r) {
        if (i + r + kRowsAhead < total) prefetch_row(a, t, i + r + kRowsAhead);
        read_rows(table_, a.compressed[sequence], a.selected.row(t)[i + r], 1, a.dim,
                  decoded + r * stride, stride, rows + count + r);
      }
    }
    i = end;
    count += some;
    take();
  }
  for (int h = 0; h < heads; ++h) {
    table_.attend_finish(states[static_cast<std::size_t>(h)], a.sink[first_head + h], a.dim,
                         a.round_bf16, a.out.row(t) + (first_head + h) * a.dim);
  }
}

void CpuKernels::attend(const AttendArgs& a) {
  if (attends_fast(a)) return attend_fast(a);
  const int tokens = a.q.rows;
  std::int64_t rows = 0;
  for (int t = 0; t < tokens; ++t) {
    rows += std::min<std::int64_t>(a.position[t] + 1, a.window) + compressed_count(a, t);
  }
  // Heads of a token stay together while there are tokens enough to share out, or while there are
  // few of them for every thread: each group unpacks the rows for itself.
  const int threads = (pool_.size() + tokens - 1) / std::max(1, tokens);
  const int wanted = std::max(1, 4 * pool_.size() / std::max(1, tokens));
  const int most = std::max(threads, a.heads / kHeadsTogether);
  const int groups = std::max(1, std::min({a.heads, wanted, most}));
  const int per_group = (a.heads + groups - 1) / groups;
  const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int first = static_cast<int>(i % groups) * per_group;
      const int last = std::min(a.heads, first + per_group);
      if (first >= last) continue;
      attend_heads(a, static_cast<int>(i / groups), first, last,
                   scratch_[static_cast<std::size_t>(thread)]);
    }
  };
  parallel(std::int64_t{tokens} * groups, 1, rows * a.heads * a.dim * 2, run);
}

void CpuKernels::store_rows(const StoreRowsArgs& a) {
  const int width = a.rows.cols;
  const auto encode = [&](std::int64_t begin, std::int64_t end, int) {
    for (auto n = static_cast<int>(begin); n < end; ++n) {
      const PagedRows& pages = a.pages[a.sequence[n]];
      encode_row(pages.format, a.rows.row(n), width, ref::paged_row(pages, a.index[n], width));
    }
  };
  parallel(a.rows.rows, 8, std::int64_t{a.rows.rows} * width * 16, encode);
}

void CpuKernels::compress(const CompressArgs& a) {
  const int rows = a.overlap ? 2 * a.ratio : a.ratio, width = (a.overlap ? 2 : 1) * a.dim;
  const auto pool = [&](std::int64_t begin, std::int64_t end, int thread) {
    cpu::PooledRow* pooled = grow(scratch_[static_cast<std::size_t>(thread)].pooled, rows);
    for (std::int64_t e = begin; e < end; ++e) {
      const CompressArgs::Entry& entry = a.entries[static_cast<std::size_t>(e)];
      int count = 0;
      for (int i = a.overlap && entry.index == 0 ? a.ratio : 0; i < rows; ++i) {
        const Pos position = (a.overlap ? entry.index - 1 : entry.index) * a.ratio + i;
        const int column = a.overlap && i >= a.ratio ? a.dim : 0;
        const float* row =
            ref::history_row(a.history[entry.sequence], position, 2 * width) + column;
        pooled[count++] = {row, row + width, a.ape + (i % a.ratio) * width + column};
      }
      table_.pool(pooled, count, a.dim, a.round_bf16, a.out.row(static_cast<int>(e)));
    }
  };
  const auto entries = static_cast<std::int64_t>(a.entries.size());
  parallel(entries, 1, entries * rows * a.dim * 20, pool);
}

}  // namespace plumb
