// OpenAI's Responses API, as a wire format: POST /v1/responses.
//
// Without state: every request brings its whole conversation, nothing is stored (the reply says
// `store: false`), and what would need a store is refused by name, as are tools that a server runs.
// Three things are accepted though they have no effect, because clients send them always and can
// live without; Call::ignored lists them:
//   - parallel_tool_calls: false. Nothing can keep a model from calling twice; the reply says true.
//   - strict in a tool. Arguments are not held to a schema; the reply says false.
//   - a reasoning summary. There is none; the reasoning itself is given in full, as content of its
//     item, and with include: ["reasoning.encrypted_content"] once more as what such a client sends
//     back.
#pragma once

#include "gateway/wire/wire.h"

namespace plumb::wire {

extern const Format kOpenAiResponses;

}  // namespace plumb::wire
