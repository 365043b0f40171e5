// Writes replies as Anthropic's Message, whole or as its stream of events.
#pragma once

#include <memory>

#include "gateway/wire/wire.h"

namespace plumb::wire {

struct MessageOptions {
  bool stream = false;
  bool calls = true;          // false: calls that the model makes are left out
  bool show_thinking = true;  // false: thinking blocks have a signature and no text
  int max_tokens = 0;         // of the request
};

std::unique_ptr<ReplyWriter> make_message_writer(const ReplyHead& head,
                                                 const MessageOptions& options);

}  // namespace plumb::wire
