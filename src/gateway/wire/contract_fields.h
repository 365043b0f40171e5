// What a body of OpenAI's formats, and of the servers that added to them, demands of the reply.
#pragma once

#include <optional>
#include <string>

#include "gateway/provider.h"
#include "gateway/wire/fields.h"

namespace plumb::wire {

// response_format, and instead of it structured_outputs ({json, regex, choice, grammar or
// json_object}), guided_json, guided_regex, guided_choice, guided_grammar, grammar or json_schema;
// two of them at once are refused. For JSON, `schema_text` becomes the schema as the model reads
// it.
AnswerForm read_answer_form(Fields& body, std::optional<std::string>& schema_text);

// `format`: {"type": "text" | "json_object" | "json_schema", ...}; with a schema, it stands in the
// object itself (Responses, Anthropic) or below json_schema (Chat).
AnswerForm read_format(Fields& format, bool wrapped, std::optional<std::string>& schema_text);

// tool_choice and parallel_tool_calls. False: no tool is offered. `nested`: the name of a function
// stands below `function`, as in Chat.
bool read_tool_choice(Fields& body, bool nested, Contract& contract);

// The object `guards` {max_reasoning_tokens, max_repeated_tokens, max_call_tokens} over `usual`,
// and thinking_token_budget, another name of the first.
Guards read_guards(Fields& body, const Guards& usual);

}  // namespace plumb::wire
