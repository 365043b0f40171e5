// The conversation of a request in OpenAI's Responses format: `instructions` and `input`.
#pragma once

#include <string>
#include <vector>

#include "gateway/wire/fields.h"
#include "text/chat.h"

namespace plumb::wire {

// Reads both fields. Meaningless after a refusal.
//   - Items that the assistant wrote one after another (reasoning, messages, function calls) are
//   one
//     Message. Of a reasoning item the text counts, else encrypted_content if we wrote it, else the
//     summary.
//   - This format knows one kind of instruction under two names, system and developer. What leads
//     the conversation joins `instructions` in one system message; what comes later, or is all
//     there is to answer, is a developer message.
//   - Somebody has to be answered: the last message is never the assistant's.
std::vector<Message> read_responses_input(Fields& body);

}  // namespace plumb::wire
