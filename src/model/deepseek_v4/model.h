// DeepSeek-V4 as a LanguageModel: embed → blocks → head, and the draft block.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "checkpoint/weight_store.h"
#include "device/device.h"
#include "model/deepseek_v4/bind.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/state.h"
#include "model/language_model.h"

namespace plumb::deepseek_v4 {

struct LoadOptions {
  Numerics numerics;
  int max_step_tokens = 256;
  int max_scored_rows = 64;
  int max_draft = 0;     // > 0 needs the checkpoint's MTP block
  int max_rewind = 16;   // >= max_draft
  // Drafts use a copy of the head in half of its bytes or less: nearly as good a guess, sooner.
  bool quick_drafts = false;
  LoadProgress progress; // may be empty
};

// Binds the weights and allocates the scratch. The store and the device must outlive the model.
Result<std::unique_ptr<LanguageModel>> load(const WeightStore& store, const Config& config,
                                            Device& device, const LoadOptions& options);

// Memory that load() takes on the device beside the weights.
std::size_t scratch_bytes(const Config& config, const LoadOptions& options);
// What the model keeps per sequence under these options.
StateMap state_map(const Config& config, const LoadOptions& options);

}  // namespace plumb::deepseek_v4
