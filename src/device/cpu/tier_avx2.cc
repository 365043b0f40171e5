#if defined(__x86_64__)
#define PLUMB_TIER avx2
#include "device/cpu/multiply_bytes_avx2.h"
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& avx2_table() {
  static const KernelTable kTable = [] {
    KernelTable table = avx2::make_table("avx2");
    table.prepared_bytes = avx2::prepared_bytes;
    table.prepare = avx2::prepare;
    table.multiply_prepared = avx2::multiply_prepared;
    return table;
  }();
  return kTable;
}

}  // namespace plumb::cpu
#endif
