// Conversations as JSON: the widely used chat-completions shape, both ways.
#pragma once

#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "text/chat.h"

namespace plumb {

// Reads a conversation from an array of messages, or from an object
//   {"messages": [...], "tools": [...], "response_format": {...},
//    "reasoning_effort": "none|minimal|low|medium|high|xhigh|max", "drop_thinking": bool}.
// Messages hold role, content (string, null or parts), reasoning_content (or reasoning),
// tool_calls, tool_call_id, tools, response_format, task, wo_eos; docs/CHAT.md describes each.
// Without a reasoning_effort the conversation has `effort`. Keys that only describe a message to
// people or to training ("name", "mask", ...) are passed over; any other unknown key is an error,
// so that a misspelling is noticed. kInvalid names the place ("messages[2].content[0].type"), what
// stands there and what was expected.
Result<Conversation> conversation_from_json(const Json& value, Effort effort = Effort::kNone);
Result<Message> message_from_json(const Json& value, std::string_view where = "message");

// The inverse: conversation_from_json(conversation_to_json(c)) == c for every conversation whose
// tools and formats are JSON.
Json conversation_to_json(const Conversation& conversation);
Json message_to_json(const Message& message);

// The arguments of a call that a model wrote: an object, perhaps deep, perhaps with keys that come
// twice. Those of a call that was cut off never are one (ToolCallDelta).
inline constexpr JsonLimits kArgumentLimits{1024, std::size_t{64} << 20, true};
Result<Json> parse_arguments(std::string_view arguments);

// "none", "high", "max" and what other servers call them; nullopt for anything else.
std::optional<Effort> effort_from_name(std::string_view name);
std::string_view effort_name(Effort effort);

}  // namespace plumb
