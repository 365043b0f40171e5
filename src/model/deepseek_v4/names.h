// Tensor names of DeepSeek-V4: every spelling in use, to the published one.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace plumb::deepseek_v4 {

// The published name ("layers.7.attn.wq_a.scale") of a tensor stored under it, under one of the
// aliases of the published converter (a leading "model.", self_attn, mlp, weight_scale_inv,
// e_score_correction_bias), or under the transformers library's in-memory names. Names that belong
// to none of these come back as they are: the check against the inventory names them.
// kUnsupported: fused experts (gate_up_proj), and tensors that only relatives of the architecture
// have (further draft blocks, Engram, vision towers), by name.
Result<std::string> canonical_name(std::string_view stored);

}  // namespace plumb::deepseek_v4
