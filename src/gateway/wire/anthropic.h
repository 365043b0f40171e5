// Anthropic's Messages API: POST /v1/messages, whole or streamed.
//
// What the API asks for and this server cannot do is refused by name; what means nothing here
// passes. Where the two sides do not fit, these are the decisions:
//
//   - A tool result with is_error says so to the model: "Error: " before its text, unless the text
//     begins with that word. Images and documents in a tool result are shown to the model as parts
//     that it cannot read; anywhere else they are refused.
//   - Consecutive assistant messages are one turn, and the text blocks of an assistant turn are one
//     text: a stream that was cut into blocks comes back as the reply that it was.
//   - Signatures prove nothing and are not checked: thinking is taken back as it comes. With
//     display "omitted" the signature carries the text, so that a chain of calls keeps its
//     reasoning.
//   - A client that offers no tools, or forbids them with tool_choice "none", gets no calls: the
//     tools are hidden from the model, and calls that it makes all the same from the client.
//   - The line of accounting data that some clients put before the system prompt is left out: it
//     changes with every request and would keep the prompt from ever being found in the cache.
//   - stop_reason is "tool_use" only if every call can be run. A call that was cut off stays in a
//     stream as it is (its input is not JSON) and is left out of a whole body.
//   - "model_context_window_exceeded": the answer ended before max_tokens for want of room.
#pragma once

#include "gateway/wire/wire.h"

namespace plumb::wire {

extern const Format kAnthropicMessages;

}  // namespace plumb::wire
