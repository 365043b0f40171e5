#if defined(__x86_64__)
#define PLUMB_TIER avx512_bf16
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& avx512_bf16_table() {
  static constexpr KernelTable kTable = avx512_bf16::make_table("avx512-bf16");
  return kTable;
}

}  // namespace plumb::cpu
#endif
