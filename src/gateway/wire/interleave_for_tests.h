// Several answers through one writer, their events mixed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "gateway/provider.h"
#include "gateway/wire/wire.h"

namespace plumb::wire {

// Everything the writer writes, in the pieces it writes: start, one per event, end. Which answer
// goes on is drawn from the seed; the order within an answer stays.
inline std::vector<std::string> written(ReplyWriter& writer,
                                        const std::vector<std::vector<ChatEvent>>& answers,
                                        std::uint64_t seed) {
  std::vector<std::string> pieces(1);
  writer.start(100, pieces.back());
  std::vector<std::size_t> next(answers.size(), 0);
  std::size_t left = 0;
  for (const auto& events : answers) left += events.size();
  for (std::uint64_t drawn = 0; left > 0; ++drawn) {
    const std::size_t i = random_bits(seed, drawn, 7) % answers.size();
    if (next[i] == answers[i].size()) continue;
    writer.take(static_cast<int>(i), answers[i][next[i]++], pieces.emplace_back());
    --left;
  }
  writer.end(pieces.emplace_back());
  return pieces;
}

inline std::string joined(const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

}  // namespace plumb::wire
