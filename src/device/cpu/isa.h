// Which instruction sets this program has loops for, and which of them this processor runs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "device/cpu/table.h"

namespace plumb::cpu {

// Best first; never empty.
std::span<const KernelTable* const> usable_tiers();

// "auto" is the best; else a name of usable_tiers(). kUnsupported says what this machine has.
Result<const KernelTable*> find_tier(std::string_view name);

}  // namespace plumb::cpu
