// The MTP block: guesses the token after next from the trunk's streams (spec 2.10).
#pragma once

#include "model/deepseek_v4/step.h"
#include "model/deepseek_v4/weights.h"

namespace plumb::deepseek_v4 {

// After the trunk: pairs every position whose next token is now known with that token and fills the
// draft block's window ring; remembers the last position's streams, which await theirs. Uses a.streams
// as the trunk left them; destroys a.y, a.kv and the mixing scratch.
void draft_catch_up(const Context& c, const StepView& step, const DraftWeights& w, const Weights& all,
                    Activations& a);

// Drafts for `items` (see LanguageModel::draft).
void draft_tokens(const Context& c, std::span<const DraftItem> items, const DraftWeights& w,
                  const Weights& all, const DraftPick& pick, std::vector<float>& host_logits,
                  Activations& a);

// a.hidden rows (H) with step.tokens (next tokens) → a.streams: Z[j] = e_proj enorm(embed) + h_proj hnorm(H[j]).
void draft_input(const Context& c, const StepView& step, const DraftWeights& w, const Weights& all,
                 Activations& a);

}  // namespace plumb::deepseek_v4
