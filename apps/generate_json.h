// Requests and replies of `plumb generate` as JSON, one per line.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "gateway/provider.h"
#include "text/tokenizer.h"

namespace plumb {

struct LineRequest {
  ChatRequest chat;
  std::vector<Json::Member> carried;  // fields that mean nothing to us: copied into the reply
};

// Reads one line: {"prompt": TEXT} or {"messages": [...]} (docs/CHAT.md), with "system", "tools",
// "response_format", "think" ("none", "high", "max"), "raw", "max_tokens", "stop" and the sampling
// fields; what is absent is as in `defaults`. kInvalid names the field.
Result<LineRequest> parse_line_request(std::string_view line, std::string_view what,
                                       const ChatRequest& defaults);

// A conversation of one question, as --system and --think want it.
Conversation ask(std::string_view question, const std::string& system, Effort effort);

Json reply_json(const ChatReply& reply);
// "tokens": the ids; with `logprobs` also "logprobs": each token's own and its rivals'.
void add_tokens(Json& reply, const std::vector<TokenInfo>& tokens, bool logprobs,
                const Tokenizer& tokenizer);
Json error_json(const Error& error);

}  // namespace plumb
