#define PLUMB_TIER baseline
#include "device/cpu/tier.h"

namespace plumb::cpu {

const KernelTable& baseline_table() {
  static const KernelTable kTable = baseline::make_table("baseline");
  return kTable;
}

}  // namespace plumb::cpu
