// What the replies of Chat Completions and of Completions have in common.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "gateway/provider.h"
#include "gateway/wire/wire.h"

namespace plumb::wire {

// How an answer ended. "tool_calls": the model called at least one tool and then ended by itself.
// "length": it was cut, or ended inside of a call: OpenAI has no other word for an answer that is
// not all there, and what is cut must not look like an end, whatever cut it.
std::string_view finish_reason(const Finished& finished, int calls_begun);

// Of all answers of a reply together.
class UsageTotal {
 public:
  // A prompt counts once, however many answers it has.
  void add(int prompt, const Usage& usage);
  std::string json() const;

 private:
  struct PromptUse {
    int tokens = 0;
    int cached = 0;
  };
  std::map<int, PromptUse> prompts_;
  std::int64_t completion_ = 0, reasoning_ = 0;
  Brake brake_ = Brake::kNone;  // of the answer that came last with one
};

// What stands around the choices of a reply. Immutable.
class ReplyFrame {
 public:
  // `object`: "chat.completion.chunk". With `usage` every chunk has the key, null but in the last.
  ReplyFrame(std::string_view id, std::string_view object, const ReplyHead& head, bool usage);
  // A stream's chunk with one choice, given as JSON.
  void chunk(std::string_view choice, std::string& out) const;
  // The usage, if it was asked for, and the end of the stream.
  void end(const UsageTotal& usage, std::string& out) const;
  // A reply that is not streamed: all choices, with commas between them.
  void whole(std::string_view choices, const UsageTotal& usage, std::string& out) const;

 private:
  std::string opening_;  // up to the choices
  bool usage_;
};

// The shortest decimal that reads back as the same float; -9999 for what is no number.
std::string logprob_text(float logprob);

}  // namespace plumb::wire
