// DSML, the markup in which DeepSeek-V4 writes tool calls, and the wrapping of tool results.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/chat.h"
#include "text/prompt_pieces.h"

namespace plumb::deepseek_v4 {

// Appends the whole tool-call block of an assistant message, with the blank line before it.
// Arguments that are a JSON object give one parameter per key: strings raw (string="true"), anything
// else as JSON (string="false"). Arguments that are no JSON object go, as they are, into a single
// string parameter named "arguments". Nothing is escaped.
void append_tool_calls(const std::vector<ToolCall>& calls, PromptPieces& out);

// `<tool_result>` CONTENT `</tool_result>`. A literal closing tag in the content, which would end
// the result early, gets a backslash ("<\/tool_result>", the same string to a JSON reader).
std::string wrap_tool_result(std::string_view content);

}  // namespace plumb::deepseek_v4
