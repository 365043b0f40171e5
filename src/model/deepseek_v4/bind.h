// From names to structs: places a checkpoint's parameters for the forward pass.
#pragma once

#include <functional>

#include "base/result.h"
#include "checkpoint/weight_store.h"
#include "device/device.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/weights.h"

namespace plumb::deepseek_v4 {

// Called with bytes placed so far and in total; returns false to stop (kCancelled).
using LoadProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

// Places every weight of the model on the device. `with_draft`: the MTP block too (an error when the
// checkpoint has none), `quick_drafts`: with a smaller copy of the head (draft_head.h). The store is
// checked against the inventory first: kCorrupt names a missing, surplus or misshapen tensor.
Result<Weights> bind(const WeightStore& store, const Config& config, Device& device, bool with_draft,
                     bool quick_drafts, const LoadProgress& progress);

}  // namespace plumb::deepseek_v4
