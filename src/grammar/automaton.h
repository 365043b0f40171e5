// A grammar ready to run: one small nondeterministic automaton per rule, with calls between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "grammar/rules.h"

namespace plumb::grammar {

using StateId = std::int32_t;

struct Edge {
  enum class Kind : std::uint8_t { kBytes, kControl, kCall, kEmpty };
  Kind kind = Kind::kEmpty;
  std::uint8_t low = 0, high = 0;  // kBytes
  std::int32_t value = -1;         // kControl: the token; kCall: the rule
  StateId to = -1;
};

// Where a state stands in a repetition of filling characters.
struct FillerMark {
  Filler filler = Filler::kNone;
  int remaining = 0;  // characters that may still follow; kUnbounded
};

struct AutomatonLimits {
  std::size_t max_states = 200'000;
};

// Immutable, thread-safe. Every state can reach the end of its rule, so a text that was accepted so
// far can always be completed.
class Automaton {
 public:
  // kInvalid says which rule begins with itself, can never end or is not defined; kExhausted: the
  // limit on states. `what` names the grammar ("the schema").
  static Result<Automaton> build(const Rules& rules, RuleId root, std::string_view what,
                                 const AutomatonLimits& limits = {});

  std::span<const Edge> edges(StateId state) const {
    const auto s = static_cast<std::size_t>(state);
    return {edges_.data() + first_edge_[s], edges_.data() + first_edge_[s + 1]};
  }
  bool is_final(StateId state) const { return final_[static_cast<std::size_t>(state)] != 0; }
  // The state's rule is one to be looked through (Rules::look_through).
  bool look_through(StateId state) const {
    return look_through_[static_cast<std::size_t>(state)] != 0;
  }
  FillerMark filler(StateId state) const { return filler_[static_cast<std::size_t>(state)]; }
  StateId start(RuleId rule) const { return start_[static_cast<std::size_t>(rule)]; }
  // The empty text is one of the rule's.
  bool nullable(RuleId rule) const { return nullable_[static_cast<std::size_t>(rule)] != 0; }
  RuleId root() const { return root_; }
  std::size_t states() const { return final_.size(); }
  std::size_t bytes() const {  // of memory
    return sizeof(Edge) * edges_.capacity() + sizeof(std::uint32_t) * first_edge_.capacity() +
           (sizeof(FillerMark) + 2) * final_.capacity() + 5 * start_.capacity();
  }

 private:
  friend class AutomatonBuilder;
  std::vector<std::uint32_t> first_edge_;  // [states + 1]
  std::vector<Edge> edges_;
  std::vector<char> final_;         // [states]
  std::vector<FillerMark> filler_;  // [states]
  std::vector<char> look_through_;  // [states]
  std::vector<StateId> start_;      // [rules]; -1: no call reaches it
  std::vector<char> nullable_;      // [rules]
  RuleId root_ = -1;
};

}  // namespace plumb::grammar
