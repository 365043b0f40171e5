#if defined(__aarch64__)
#define PLUMB_TIER neon
#define PLUMB_NEON
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& neon_table() {
  static const KernelTable kTable = neon::make_table("neon");
  return kTable;
}

}  // namespace plumb::cpu
#endif
