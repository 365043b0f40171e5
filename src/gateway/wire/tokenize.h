// Bodies of POST /tokenize and POST /detokenize, in the shapes of vLLM (prompt or messages; tokens
// -> prompt) and of llama.cpp (content; tokens -> content).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/types.h"
#include "gateway/provider.h"
#include "gateway/wire/wire.h"

namespace plumb::wire {

struct TokenizeCall {
  std::string model;  // as the client spelled it, or empty
  Prompt prompt;
  // The ids without the begin-of-sequence token, which a provider puts in front of raw text.
  bool without_first = false;
  std::vector<std::string> ignored;  // as Call::ignored
};
// `prompt` gets the begin-of-sequence token unless add_special_tokens is false, `content` only if
// add_special is true. `messages` are read as by kOpenAiChat.
std::variant<TokenizeCall, Refusal> parse_tokenize(const Json& body, const Defaults& defaults);

struct DetokenizeCall {
  std::string model;
  std::vector<Token> tokens;
  std::vector<std::string> ignored;
};
std::variant<DetokenizeCall, Refusal> parse_detokenize(const Json& body);

// `tokens`: what the provider gave for call.prompt; `context`: of the model.
std::string tokenize_reply(const TokenizeCall& call, std::span<const Token> tokens, Pos context);
// The text under both names.
std::string detokenize_reply(std::string_view text);

}  // namespace plumb::wire
