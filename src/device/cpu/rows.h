// Reading rows of sequences out of their pages through the loops of a tier.
#pragma once

#include <cstdint>

#include "device/cpu/table.h"
#include "device/kernels.h"

namespace plumb::cpu {

// Rows [first, first + count) as fp32: rows[r] points at it where it is stored so, else into
// scratch[count * stride], where it was unpacked; stride >= width.
void read_rows(const KernelTable& table, const PagedRows& pages, std::int64_t first, int count,
               int width, float* scratch, int stride, const float** rows);

}  // namespace plumb::cpu
