// Anthropic's count of tokens: POST /v1/messages/count_tokens.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gateway/wire/wire.h"

namespace plumb::wire {

// A request to count.
struct CountCall {
  std::string model;  // as the client spelled it
  Prompt prompt;
  std::vector<std::string> ignored;  // as Call::ignored
};

std::variant<CountCall, Refusal> parse_anthropic_count(const Json& body, const Defaults& defaults);
std::string anthropic_count(std::int64_t tokens);

}  // namespace plumb::wire
