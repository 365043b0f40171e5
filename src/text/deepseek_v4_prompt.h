// Conversation → prompt, in the chat format of DeepSeek-V4 (docs/CHAT.md).
#pragma once

#include <string>

#include "base/result.h"
#include "text/chat.h"
#include "text/prompt_pieces.h"

namespace plumb::deepseek_v4 {

// kInvalid or kUnsupported names the message ("messages[3] (developer) ...") and what it may hold.
Result<PromptPieces> render_pieces(const Conversation& conversation);

// The same as one string, control tokens by name; byte for byte what the published encoder returns.
// For tests and for people: never tokenize it, because text that spells a control token and the
// control token look the same in it.
Result<std::string> render_text(const Conversation& conversation);

}  // namespace plumb::deepseek_v4
