// The system prompt and the messages of an Anthropic request as turns of a conversation.
#pragma once

#include <vector>

#include "gateway/wire/fields.h"
#include "text/chat.h"

namespace plumb::wire {

// Reads `system` and `messages`. A last assistant message is left open, to be continued. Refusals
// are in body.reading().
std::vector<Message> read_turns(Fields& body);

}  // namespace plumb::wire
