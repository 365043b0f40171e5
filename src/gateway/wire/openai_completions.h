// OpenAI's Completions: raw text goes on, without a chat format.
#pragma once

#include "gateway/wire/wire.h"

namespace plumb::wire {

// A prompt is text or token ids; several prompts with n answers each are choices prompt * n + i.
// echo puts the prompt in front of the answer, where it is text and no log probabilities are asked
// for; elsewhere it is refused, as is what kOpenAiChat refuses.
extern const Format kOpenAiCompletions;

}  // namespace plumb::wire
