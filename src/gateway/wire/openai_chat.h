// OpenAI's Chat Completions, with the additions of DeepSeek (thinking, reasoning_content, prefix)
// and of vLLM (top_k, min_p, chat_template_kwargs ...).
#pragma once

#include "gateway/wire/wire.h"

namespace plumb::wire {

// What it does not offer it refuses by name, with the code "unsupported_parameter"; what it does
// not know it lists in Call::ignored.
extern const Format kOpenAiChat;

}  // namespace plumb::wire
