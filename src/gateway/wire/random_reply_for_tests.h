// Replies as a provider could give them, from a seed: for the tests of writers and streams.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "gateway/provider.h"

namespace plumb::wire {

struct RandomReplyOptions {
  bool reasoning = true;
  bool tools = true;
  bool tokens = false;  // TokenInfo before the text it completes, with log probabilities
  bool progress = true;
};

// Progress, then reasoning, text and calls in any order a parser can give, then Finished. Text
// holds quotes, newlines, controls, markup, non-ASCII. Some replies are empty, some are cut
// (kLength with an unfinished call).
inline std::vector<ChatEvent> random_reply(std::uint64_t seed,
                                           const RandomReplyOptions& options = {}) {
  std::uint64_t drawn = 0;
  const auto draw = [&](std::uint64_t below) { return random_bits(seed, drawn++) % below; };
  static const std::vector<std::string> kPieces = {
      "hello", " world", "\n",   "\n\n",     "data: x\n\n", "\"quoted\"",  "\\",
      "\t",    "é",      "深度", "🐟",        "</think>",    "[DONE]",      "{\"a\":1}",
      "\x01",  "\r\n",   " ",    "event: x", "0",           "\xe2\x80\xa8"};
  const auto text = [&] {
    std::string out;
    for (std::uint64_t n = 1 + draw(3); n > 0; --n) out += kPieces[draw(kPieces.size())];
    return out;
  };
  std::vector<ChatEvent> events;
  Usage usage;
  usage.prompt = static_cast<int>(1 + draw(1000));
  usage.cached = static_cast<int>(draw(static_cast<std::uint64_t>(usage.prompt)));
  if (options.progress) {
    for (std::uint64_t n = draw(3); n > 0; --n)
      events.emplace_back(PromptProgress{usage.prompt / 2, usage.prompt});
  }
  const auto add = [&](ReplyDelta delta) {
    ++usage.completion;
    if (options.tokens) {
      TokenInfo info{static_cast<Token>(draw(1000)), "\xe6\xb7", -0.25f, {}};
      info.top = {{info.token, -0.25f, info.bytes}, {static_cast<Token>(draw(1000)), -1.5f, "é"}};
      events.emplace_back(info);
    }
    events.emplace_back(std::move(delta));
  };
  if (options.reasoning) {
    for (std::uint64_t n = draw(4); n > 0; --n) add(ReasoningDelta{text()});
    usage.reasoning = usage.completion;
  }
  for (std::uint64_t n = draw(6); n > 0; --n) add(ContentDelta{text()});
  Finished finished;
  finished.reason = draw(4) == 0 ? FinishReason::kLength : FinishReason::kStop;
  const int calls = options.tools ? static_cast<int>(draw(4)) : 0;
  for (int i = 0; i < calls; ++i) {
    add(ToolCallDelta{i, "call_" + std::to_string(draw(1000000)), "tool_" + std::to_string(draw(5)),
                      ""});
    add(ToolCallDelta{i, "", "", "{\"text\": \""});
    for (std::uint64_t n = draw(4); n > 0; --n) add(ToolCallDelta{i, "", "", "piece "});
    const bool cut = i + 1 == calls && finished.reason == FinishReason::kLength;
    if (cut) {
      finished.unfinished_calls.push_back(i);
      finished.lost_markup = true;
    } else {
      add(ToolCallDelta{i, "", "", "\"}"});
    }
  }
  finished.usage = usage;
  if (calls == 0 && finished.reason == FinishReason::kStop && draw(3) == 0) finished.stop = "END";
  events.emplace_back(std::move(finished));
  return events;
}

}  // namespace plumb::wire
