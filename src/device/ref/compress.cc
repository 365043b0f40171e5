#include "device/ref/kernels.h"
#include "device/ref/rows.h"
#include "tensor/math.h"

namespace plumb {
namespace {

// One row that an entry pools over: its values and gates from column `half`, and its place in
// `ape`.
struct PooledRow {
  const float* values;
  const float* gates;
  const float* ape;
};

PooledRow pooled_row(const CompressArgs& a, const CompressArgs::Entry& entry, int i) {
  const int width = (a.overlap ? 2 : 1) * a.dim;
  const Pos position = a.overlap ? (entry.index - 1) * a.ratio + i : entry.index * a.ratio + i;
  const int column = a.overlap && i >= a.ratio ? a.dim : 0;
  const float* row = ref::history_row(a.history[entry.sequence], position, 2 * width) + column;
  return {row, row + width, a.ape + (i % a.ratio) * width + column};
}

}  // namespace

void RefKernels::compress(const CompressArgs& a) {
  const int rows = a.overlap ? 2 * a.ratio : a.ratio;
  for (std::size_t e = 0; e < a.entries.size(); ++e) {
    const CompressArgs::Entry& entry = a.entries[e];
    float* out = a.out.row(static_cast<int>(e));
    const int first = a.overlap && entry.index == 0 ? a.ratio : 0;
    for (int c = 0; c < a.dim; ++c) {
      float top = -__builtin_inff(), weights = 0, sum = 0;
      for (int i = first; i < rows; ++i) {
        const PooledRow row = pooled_row(a, entry, i);
        const float g = row.gates[c] + row.ape[c];
        top = g > top ? g : top;
      }
      for (int i = first; i < rows; ++i) {
        const PooledRow row = pooled_row(a, entry, i);
        const float p = math::exp(row.gates[c] + row.ape[c] - top);
        weights += p;
        sum += p * row.values[c];
      }
      out[c] = round_if(a.round_bf16, sum / weights);
    }
  }
}

void RefKernels::store_rows(const StoreRowsArgs& a) {
  const int width = a.rows.cols;
  for (int n = 0; n < a.rows.rows; ++n) {
    const PagedRows& pages = a.pages[a.sequence[n]];
    encode_row(pages.format, a.rows.row(n), width, ref::paged_row(pages, a.index[n], width));
  }
}

}  // namespace plumb
