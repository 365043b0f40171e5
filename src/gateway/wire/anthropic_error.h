// Refusals in Anthropic's shape.
#pragma once

#include <string>
#include <string_view>

#include "gateway/wire/wire.h"

namespace plumb::wire {

// {"type":"error","error":{"type","message"},"request_id"}; without the id where it is empty.
std::string anthropic_error(const Refusal& refusal, std::string_view request_id);

}  // namespace plumb::wire
