#if defined(__x86_64__)
#define PLUMB_TIER avx512_bf16
#include "device/cpu/attend_fast.h"
#include "device/cpu/multiply_fast.h"
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& avx512_bf16_table() {
  static const KernelTable kTable = [] {
    KernelTable table = avx512_bf16::make_row_table("avx512-bf16");
    // The exact products gain nothing from the dot products: compiled once.
    table.multiply = avx512_table().multiply;
    table.prepared_bytes = avx512_bf16::prepared_bytes;
    table.prepare = avx512_bf16::prepare;
    table.multiply_prepared = avx512_bf16::multiply_prepared;
    table.prepares_bf16 = true;
    table.attend_queries = avx512_bf16::attend_queries;
    table.attend_rows = avx512_bf16::attend_rows;
    table.attend_scores = avx512_bf16::attend_scores;
    table.attend_weigh = avx512_bf16::attend_weigh;
    table.attend_merge = avx512_bf16::attend_merge;
    table.attend_close = avx512_bf16::attend_close;
    return table;
  }();
  return kTable;
}

}  // namespace plumb::cpu
#endif
