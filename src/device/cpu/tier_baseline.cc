#define PLUMB_TIER baseline
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& baseline_table() {
  static constexpr KernelTable kTable = baseline::make_table("baseline");
  return kTable;
}

}  // namespace plumb::cpu
