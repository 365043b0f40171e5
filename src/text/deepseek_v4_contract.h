// A DeepSeek-V4 model's reply as a grammar: reasoning, content and tool calls.
#pragma once

#include <vector>

#include "base/result.h"
#include "grammar/rules.h"
#include "text/chat.h"
#include "text/contract.h"
#include "text/deepseek_v4_reply.h"

namespace plumb::deepseek_v4 {

// The whole reply, its end token not included:
//
//   [REASONING </think>] ANSWER [CALLS]      tools may be called
//   [REASONING </think>] CALLS               they must be
//
// where text is free but for the spelling of DSML's token, which would look like markup to whoever
// reads it as text; the answer has the contract's form (a form other than text excludes calls behind it) and
// calls are written as append_tool_calls() writes them, to tools that are offered, with arguments
// that satisfy their schemas. Strings stand raw in DSML, everything else as JSON; parameters come
// in the order of the schema. A tool without `strict` may have keywords that are not offered: any
// value is let through there. kInvalid and kUnsupported name the tool or schema and what is wrong.
Result<grammar::RuleId> reply_grammar(grammar::Rules& rules, const std::vector<ToolSpec>& tools,
                                      const Contract& contract, const ReplyTokens& tokens,
                                      bool starts_in_reasoning);

}  // namespace plumb::deepseek_v4
