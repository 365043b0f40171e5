// The replies of Chat Completions.
#pragma once

#include <memory>

#include "gateway/wire/wire.h"

namespace plumb::wire {

struct ChatReplyForm {
  int choices = 1;
  bool stream = false;
  bool usage = false;   // of a stream: a chunk with the usage
  bool tokens = false;  // log probabilities
};

// A stream begins with one chunk of every choice that gives its role. Each later chunk has a piece
// of content, reasoning or a call; the log probabilities in it are those of all tokens since the
// choice's chunk before, so that none is lost where a token completes no text; the last come with
// the finish_reason. They are of all tokens of an answer, its reasoning and markup included.
//
// Calls that were cut off have been streamed when that is known; their finish_reason is "length"
// and their arguments are not JSON. Whole replies leave them out.
std::unique_ptr<ReplyWriter> make_chat_writer(const ReplyHead& head, const ChatReplyForm& form);

}  // namespace plumb::wire
