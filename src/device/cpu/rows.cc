#include "device/cpu/rows.h"

#include <algorithm>

#include "device/ref/rows.h"

namespace plumb::cpu {
namespace {

const float* read_row(const KernelTable& table, RowFormat format, const std::byte* data, int width,
                      float* scratch) {
  switch (format.kind) {
    case RowFormat::Kind::kF32:
      return reinterpret_cast<const float*>(data);
    case RowFormat::Kind::kBF16:
      table.decode_bf16(data, width, scratch);
      break;
    case RowFormat::Kind::kE4M3:
      table.decode_e4m3(data, width - format.plain, format.plain, scratch);
      break;
    case RowFormat::Kind::kE2M1:
      table.decode_e2m1(data, width, scratch);
      break;
  }
  return scratch;
}

}  // namespace

void read_rows(const KernelTable& table, const PagedRows& pages, std::int64_t first, int count,
               int width, float* scratch, int stride, const float** rows) {
  for (int r = 0; r < count;) {
    const std::int64_t slot = (first + r) % pages.rows_per_page;
    const auto some =
        static_cast<int>(std::min<std::int64_t>(count - r, pages.rows_per_page - slot));
    const std::byte* data = ref::paged_row(pages, first + r, width);
    for (const int end = r + some; r < end; ++r, data += row_bytes(pages.format, width)) {
      float* decoded = scratch + static_cast<std::ptrdiff_t>(r) * stride;
      rows[r] = read_row(table, pages.format, data, width, decoded);
    }
  }
}

}  // namespace plumb::cpu
