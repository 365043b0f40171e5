// Messages and tools as Chat Completions spells them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/wire/fields.h"
#include "text/chat.h"

namespace plumb::wire {

// The field `key`: an array of one message at least. Content is a string or parts; parts that are
// not text are refused, save in a tool's result, where the model is told of them. A last message of
// the assistant (without a task) is left open: the reply goes on with it.
std::vector<Message> read_messages(Fields& body, std::string_view key = "messages");

// The field `name` of a function that a client offers: refused where the model's markup, which has
// no escapes, could not hold it.
std::string read_function_name(Fields& function);

// The field `tools` of a request or of a message; each must be a function.
std::vector<ToolSpec> read_tools(Fields& holder);

}  // namespace plumb::wire
