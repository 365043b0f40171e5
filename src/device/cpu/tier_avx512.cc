#if defined(__x86_64__)
#define PLUMB_TIER avx512
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& avx512_table() {
  static const KernelTable kTable = avx512::make_table("avx512");
  return kTable;
}

}  // namespace plumb::cpu
#endif
