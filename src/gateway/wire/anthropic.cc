#include "gateway/wire/anthropic.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "gateway/wire/anthropic_error.h"
#include "gateway/wire/anthropic_input.h"
#include "gateway/wire/anthropic_writer.h"
#include "gateway/wire/contract_fields.h"
#include "gateway/wire/fields.h"

namespace plumb::wire {
namespace {

void read_sampling(Fields& body, SamplingParams& sampling) {
  if (const auto temperature = body.number("temperature", 0, 1)) {
    sampling.temperature = static_cast<float>(*temperature);
  }
  if (const auto top_p = body.number("top_p", 0, 1)) {
    sampling.top_p = static_cast<float>(*top_p);
    if (sampling.top_p == 0) body.refuse("top_p", "a number above 0 and at most 1");
  }
  if (const auto top_k = body.integer("top_k", 0, std::numeric_limits<int>::max())) {
    sampling.top_k = static_cast<int>(*top_k);
  }
}

std::vector<std::string> read_stops(Fields& body) {
  std::vector<std::string> stops;
  const Json* list = body.array("stop_sequences");
  if (!list) return stops;
  for (std::size_t i = 0; i < list->items().size(); ++i) {
    const Json& item = list->items()[i];
    if (item.is_string() && !item.text().empty()) {
      stops.push_back(item.text());
      continue;
    }
    const std::string where = str("stop_sequences[", i, "]");
    body.reading().refuse(where, str(where, " is ", shown(item), ", expected a string with text."));
  }
  return stops;
}

int read_max_tokens(Fields& body) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  const auto max_tokens = body.integer("max_tokens", 0, kMost);
  if (!max_tokens) body.refuse("max_tokens", str("an integer from 0 to ", kMost));
  return static_cast<int>(max_tokens.value_or(0));
}

void read_service(Fields& body) {
  body.pass("metadata");
  body.unsupported("speed", "there is only one speed", "\"standard\"");
  const auto tier = body.string("service_tier");
  if (tier && *tier != "auto" && *tier != "standard_only") {
    body.refuse("service_tier", "auto or standard_only");
  }
}

Parsed parse(const Json& json, const Defaults& defaults) {
  Reading reading;
  Call call;
  ChatRequest request;
  MessageOptions options;
  {
    Fields body(json, "", reading);
    call.model = body.required_string("model");
    request.max_tokens = options.max_tokens = read_max_tokens(body);
    AnthropicPrompt prompt = read_anthropic_prompt(body, defaults);
    request.prompt = std::move(prompt.conversation);
    request.contract = std::move(prompt.contract);
    request.guards = read_guards(body, defaults.guards);
    if (prompt.max_reasoning) request.guards.max_reasoning = *prompt.max_reasoning;
    options.calls = prompt.calls;
    options.show_thinking = prompt.show_thinking;
    request.sampling = defaults.sampling;
    read_sampling(body, request.sampling);
    request.stop = read_stops(body);
    read_service(body);
    call.stream = options.stream = body.boolean("stream").value_or(false);
    if (const auto seed = body.integer("seed", 0, std::numeric_limits<std::int64_t>::max())) {
      request.sampling.seed = static_cast<std::uint64_t>(*seed);
      call.seeded = true;
    }
  }
  if (!reading.ok()) return *std::move(reading.refusal);
  call.choices.push_back(std::move(request));
  call.ignored = std::move(reading.ignored);
  call.writer = [options](const ReplyHead& head) { return make_message_writer(head, options); };
  return call;
}

}  // namespace

const Format kAnthropicMessages = {"anthropic.messages", parse, anthropic_error};

}  // namespace plumb::wire
