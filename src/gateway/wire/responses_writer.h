// The reply in OpenAI's Responses format: one `response` object, or the stream of events that
// builds it.
//
// The reply is a row of output items, one open at a time: reasoning, message, function call, as the
// model writes them. Of a stream, every item has its events from output_item.added to
// output_item.done; the last event carries the whole object, whose items are those of the done
// events. A stream that fails leaves its open item open: what was broken off is not done.
//
// A reply that was cut at its length is incomplete. A call that was cut off or malformed is an
// incomplete item with arguments that are no JSON, in a reply that may be complete.
#pragma once

#include <memory>

#include "base/json.h"
#include "gateway/wire/wire.h"

namespace plumb::wire {

// What the request asks of its reply.
struct ResponsesSettings {
  bool stream = false;
  bool logprobs = false;        // of the answer's tokens
  bool pack_reasoning = false;  // see responses_reasoning.h
  Json echo;                    // members of the response object that repeat the request
};

// Fragments of one call must come in one run, as a model writes them.
std::unique_ptr<ReplyWriter> make_responses_writer(ResponsesSettings settings, ReplyHead head);

}  // namespace plumb::wire
