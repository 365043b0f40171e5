// A refusal as OpenAI's clients read it.
#pragma once

#include <string>
#include <string_view>

#include "gateway/wire/wire.h"

namespace plumb::wire {

// {"error":{"message","type","param","code"}}: all four keys, the last two null where there is
// nothing to say. The request's id stands in a header, not in the body.
std::string openai_error(const Refusal& refusal, std::string_view request_id = {});

// The `type` of an HTTP status: "invalid_request_error", "rate_limit_error", "server_error" ...
std::string_view openai_error_type(int status);

}  // namespace plumb::wire
