// The replies of Completions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/wire/wire.h"

namespace plumb::wire {

struct CompletionReplyForm {
  int prompts = 1;
  int answers = 1;  // to each; choice = prompt * answers + answer
  bool stream = false;
  bool usage = false;             // of a stream: a chunk with the usage
  bool tokens = false;            // log probabilities
  std::vector<std::string> echo;  // what stands before the answers, by prompt; or nothing
};

// Log probabilities have the old shape: tokens, token_logprobs, top_logprobs and text_offset, side
// by side. A token that is not UTF-8 by itself is spelled "bytes:\xe6\xb7"; an offset counts the
// characters of the answer that were complete before the token. Those of a chunk are of all tokens
// since the choice's chunk before; the last come with the finish_reason.
std::unique_ptr<ReplyWriter> make_completion_writer(const ReplyHead& head,
                                                    CompletionReplyForm form);

}  // namespace plumb::wire
