// OpenAI's Responses API, as a wire format: POST /v1/responses.
//
// Without state: every request brings its whole conversation, nothing is stored (the reply says
// `store: false`), and what would need a store is refused by name, as are tools that a server runs.
// What clients always send and can live without is accepted though it has no effect; Call::ignored
// lists it:
//   - parallel_tool_calls: false. Nothing can keep a model from calling twice; the reply says true.
//   - strict in a tool. Arguments are not held to a schema; the reply says false.
//   - text.verbosity. The reply says medium.
//   - a reasoning summary. There is none; the reasoning itself is given in full, as content of its
//     item, and with include: ["reasoning.encrypted_content"] once more as what such a client sends
//     back.
#pragma once

#include "gateway/wire/wire.h"

namespace plumb::wire {

extern const Format kOpenAiResponses;

}  // namespace plumb::wire
