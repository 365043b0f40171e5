// The conversation that a Chat Completions body holds: messages, tools, the wanted form of the
// answer, and how much to think.
#pragma once

#include "gateway/wire/fields.h"
#include "gateway/wire/wire.h"
#include "text/chat.h"

namespace plumb::wire {

// Reads messages, tools, tool_choice, parallel_tool_calls, response_format (see
// contract_fields.h for its other names), reasoning_effort,
// thinking, chat_template_kwargs, continue_final_message and add_generation_prompt.
//
// Thinking: a switch (thinking.type, chat_template_kwargs.thinking or .enable_thinking) says
// whether, an effort (reasoning_effort, here or among the kwargs) says how much. Off wins over an
// effort, as with DeepSeek; on without one is the default effort, or high where that is none.
//
// What the reply has to keep goes into `contract`.
Conversation read_conversation(Fields& body, const Defaults& defaults, Contract& contract);

}  // namespace plumb::wire
