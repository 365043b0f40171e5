// Whether a streamed reply keeps its format, told by a reader that trusts nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "gateway/wire/sse_reader_for_tests.h"

namespace plumb::load {

enum class Api : std::uint8_t { kChat, kCompletions, kMessages, kResponses };
inline constexpr Api kApis[] = {Api::kChat, Api::kCompletions, Api::kMessages, Api::kResponses};
std::string_view to_string(Api api);  // "chat"

// Tokens as the client is told of them.
struct TokenUsage {
  std::int64_t prompt = 0;  // those that were cached among them
  std::int64_t cached = 0;
  std::int64_t completion = 0;
  TokenUsage& operator+=(const TokenUsage& other);
  bool operator==(const TokenUsage&) const = default;
};

// Reads the events of one reply in their order. What every server of the format does is demanded,
// what one may leave out is not. An error names what was expected. Thread-compatible.
class ReplyCheck {
 public:
  virtual ~ReplyCheck() = default;
  // Whether the event carried a piece of the answer's text (or of its reasoning, or of a call).
  virtual Result<bool> take(const wire::SseEvent& event) = 0;
  // The body is over: whether the reply was complete, usage included.
  virtual Result<TokenUsage> end() const = 0;
};
std::unique_ptr<ReplyCheck> make_reply_check(Api api);

}  // namespace plumb::load
