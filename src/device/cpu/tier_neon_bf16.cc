#if defined(__aarch64__)
#define PLUMB_TIER neon_bf16
#define PLUMB_NEON
#include "device/cpu/multiply_fast_neon.h"
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& neon_bf16_table() {
  static const KernelTable kTable = [] {
    KernelTable table = neon_bf16::make_row_table("neon-bf16");
    // The exact products gain nothing from the dot products: compiled once.
    table.multiply = neon_table().multiply;
    table.prepared_bytes = neon_bf16::prepared_bytes;
    table.prepare = neon_bf16::prepare;
    table.multiply_prepared = neon_bf16::multiply_prepared;
    table.prepares_bf16 = true;
    return table;
  }();
  return kTable;
}

}  // namespace plumb::cpu
#endif
