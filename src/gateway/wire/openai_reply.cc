#include "gateway/wire/openai_reply.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/strings.h"
#include "gateway/wire/sse.h"

namespace plumb::wire {

std::string_view finish_reason(const Finished& finished, int calls_begun) {
  if (finished.reason != FinishReason::kStop || !finished.unfinished_calls.empty()) return "length";
  return calls_begun > 0 ? "tool_calls" : "stop";
}

void UsageTotal::add(int prompt, const Usage& usage) {
  completion_ += usage.completion;
  reasoning_ += usage.reasoning;
  if (usage.brake != Brake::kNone) brake_ = usage.brake;
  const auto [entry, fresh] = prompts_.try_emplace(prompt, PromptUse{usage.prompt, usage.cached});
  if (fresh) return;
  entry->second.tokens = std::max(entry->second.tokens, usage.prompt);
  // The first answer to be read computed what the others then found in the cache.
  entry->second.cached = std::min(entry->second.cached, usage.cached);
}

std::string UsageTotal::json() const {
  std::int64_t prompt = 0, cached = 0;
  for (const auto& [index, use] : prompts_) {
    prompt += use.tokens;
    cached += use.cached;
  }
  return str("{\"prompt_tokens\":", prompt, ",\"completion_tokens\":", completion_,
             ",\"total_tokens\":", prompt + completion_,
             ",\"prompt_tokens_details\":{\"cached_tokens\":", cached,
             "},\"completion_tokens_details\":{\"reasoning_tokens\":", reasoning_,
             brake_ == Brake::kNone ? "" : str(",\"brake\":\"", to_string(brake_), "\""), "}}");
}

ReplyFrame::ReplyFrame(std::string_view id, std::string_view object, const ReplyHead& head,
                       bool usage)
    : usage_(usage) {
  opening_ = str(
      "{\"id\":", json_quote(id), ",\"object\":", json_quote(object), ",\"created\":", head.created,
      ",\"model\":", json_quote(head.model),
      ",\"system_fingerprint\":", head.fingerprint.empty() ? "null" : json_quote(head.fingerprint),
      ",\"choices\":[");
}

void ReplyFrame::chunk(std::string_view choice, std::string& out) const {
  append_event(out, str(opening_, choice, usage_ ? "],\"usage\":null}" : "]}"));
}

void ReplyFrame::end(const UsageTotal& usage, std::string& out) const {
  if (usage_) append_event(out, str(opening_, "],\"usage\":", usage.json(), "}"));
  append_event(out, "[DONE]");
}

void ReplyFrame::whole(std::string_view choices, const UsageTotal& usage, std::string& out) const {
  out += str(opening_, choices, "],\"usage\":", usage.json(), "}");
}

std::string logprob_text(float logprob) {
  if (!std::isfinite(logprob)) return "-9999.0";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, logprob).ptr;
  return std::string(buffer, end);
}

}  // namespace plumb::wire
