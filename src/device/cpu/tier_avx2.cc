#if defined(__x86_64__)
#define PLUMB_TIER avx2
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& avx2_table() {
  static const KernelTable kTable = avx2::make_table("avx2");
  return kTable;
}

}  // namespace plumb::cpu
#endif
