// What the model reads of an Anthropic request, and the options that decide it: the same for a
// reply and for a count of tokens.
#pragma once

#include <optional>

#include "gateway/wire/fields.h"
#include "gateway/wire/wire.h"
#include "text/chat.h"

namespace plumb::wire {

struct AnthropicPrompt {
  Conversation conversation;
  bool calls = false;  // tools are offered: the client takes calls
  Contract contract;
  std::optional<int> max_reasoning;  // thinking.budget_tokens
  bool show_thinking = true;         // false: thinking blocks come without their text
};

// Reads system, messages, tools, tool_choice, thinking, output_config and whatever else would
// change the prompt; refusals are in body.reading().
AnthropicPrompt read_anthropic_prompt(Fields& body, const Defaults& defaults);

}  // namespace plumb::wire
