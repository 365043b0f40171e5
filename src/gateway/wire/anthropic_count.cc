#include "gateway/wire/anthropic_count.h"

#include <utility>

#include "gateway/wire/anthropic_input.h"
#include "gateway/wire/fields.h"

namespace plumb::wire {

std::variant<CountCall, Refusal> parse_anthropic_count(const Json& json, const Defaults& defaults) {
  Reading reading;
  CountCall call;
  {
    Fields body(json, "", reading);
    call.model = body.required_string("model");
    call.prompt = read_anthropic_prompt(body, defaults).conversation;
    // What a request for the reply may hold and does not change the prompt.
    for (const std::string_view key :
         {"max_tokens", "metadata", "stream", "temperature", "top_p", "top_k", "stop_sequences",
          "service_tier", "speed", "seed"}) {
      body.pass(key);
    }
  }
  if (!reading.ok()) return *std::move(reading.refusal);
  call.ignored = std::move(reading.ignored);
  return call;
}

std::string anthropic_count(std::int64_t tokens) {
  return Json::object({{"input_tokens", Json::integer(tokens)}}).dump();
}

}  // namespace plumb::wire
