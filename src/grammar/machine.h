// Runs an automaton over bytes and tokens, and says which tokens may come next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/types.h"
#include "grammar/automaton.h"
#include "grammar/vocabulary.h"

namespace plumb::grammar {

struct MachineLimits {
  std::size_t max_bytes = std::size_t{64} << 20;  // of everything that is remembered
  // Single steps of the automaton within one call; a grammar that needs more is given up.
  std::size_t max_work = 20'000'000;
};

// Where a text may stand in the grammar is a set of (state, stack) pairs. Such sets are numbered as
// they come up and remember what each byte leads to, so that texts run through a table. Stacks are
// shared graphs: a node is the set of places where its rule may return to, so that ambiguous
// grammars stay small.
//
// The tokens that may follow states of one rule, as far as the rule says it, do not depend on the
// stack and are kept per set of states; only what runs past the rule's end is looked at anew.
//
// Thread-safe; calls wait for each other.
class Machine {
 public:
  Machine(std::shared_ptr<const Automaton> automaton, std::shared_ptr<const Vocabulary> vocabulary,
          const MachineLimits& limits = {});
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  using Place = std::int32_t;
  static constexpr Place kNowhere = -1;  // no text of the grammar goes on like this
  static constexpr Place kTooMuch = -2;  // a limit was reached; the machine is of no more use

  Place start();
  Place after(Place place, Token token);
  // The whole text may end here.
  bool may_end(Place place);
  // Adds the tokens that may follow. False: a limit was reached.
  bool allow(Place place, std::span<std::uint64_t> allowed);

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  std::size_t bytes();  // of memory that it has taken so far, about
  std::size_t automaton_bytes() const { return automaton_->bytes(); }

 private:
  using NodeId = std::int32_t;
  static constexpr NodeId kRoot = 0;  // the rule at the bottom; it returns to nowhere
  static constexpr NodeId kHole = 1;  // a stack that is not looked at

  struct Item {
    StateId state = -1;
    NodeId node = -1;
    std::uint64_t packed() const {
      return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(state)) << 32) |
             static_cast<std::uint32_t>(node);
    }
    auto operator<=>(const Item&) const = default;
  };
  using Items = std::vector<Item>;  // sorted, each once
  struct Config {
    Items items;           // states that take a byte or a control token
    bool accepts = false;  // the root rule has ended
    bool exits = false;    // a rule above the hole has ended
    std::unique_ptr<std::array<Place, 256>> next;
  };
  // What may follow states of one rule without and with leaving it.
  struct Local {
    std::vector<Token> few;  // inside; used when there are few of them
    TokenSet many;
    TokenTrie leaving;  // what tokens hold behind the rule's end
  };
  struct ItemsHash {
    std::size_t operator()(const Items& items) const;
  };
  // Where texts may stand after some step, while it is made out.
  struct Closure {
    std::vector<Item> work;
    std::unordered_set<std::uint64_t> seen;
    Items items;
    bool accepts = false, exits = false;
    // The rules that are called here and where they return to. Their nodes are kFirstOpen - index
    // until everything that calls them is known.
    std::unordered_map<RuleId, std::size_t> opened;
    std::vector<Items> returns;
    std::vector<NodeId> numbered;  // the nodes that they became

    void clear();
  };
  static constexpr NodeId kFirstOpen = -2;

  // States of one rule above one stack.
  struct Group {
    NodeId node = -1;
    Items states;  // above the hole, or above the rest of a rule that is looked through
  };

  std::vector<Group> groups(Place place);
  Place step(Place place, std::uint8_t byte);
  Place intern(Closure& closure);
  NodeId intern_node(Items returns);
  void number_opened(Closure& closure);
  void close(Closure& closure);
  void expand(Closure& closure, Item item);
  void take(Closure& closure, Item item);
  void call(Closure& closure, RuleId rule, Item return_to);
  Place behind(NodeId node);                // where a rule with this stack leaves to
  const Local& local(const Items& states);  // of one rule, above the hole
  void explore(const Items& states, Local& out);
  void allow_group(const Items& states, NodeId node, std::span<std::uint64_t> allowed);
  // Calls visit(node, place) for every node of the trie that can be reached from `from`.
  template <class Visit>
  void walk(const TokenTrie& trie, Place from, Visit visit);
  bool spent() const { return work_ > limits_.max_work || bytes_ > limits_.max_bytes; }

  const std::shared_ptr<const Automaton> automaton_;
  const std::shared_ptr<const Vocabulary> vocabulary_;
  const MachineLimits limits_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::size_t work_ = 0;  // within this call

  Closure closure_;  // reused
  std::vector<Config> configs_;
  std::unordered_map<Items, std::vector<Place>, ItemsHash> by_items_;
  std::vector<Items> nodes_;  // where each may return to: (state, node below)
  std::unordered_map<Items, NodeId, ItemsHash> by_returns_;
  std::vector<Place> behind_;  // [nodes]; kUnknown: not asked yet
  std::unordered_map<Items, std::unique_ptr<Local>, ItemsHash> locals_;
  std::unique_ptr<Local> unfinished_;
};

// One text under way. Thread-compatible; matchers of one machine may be on several threads.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Machine> machine);

  // False: the token cannot come next (nothing is changed), or a limit was reached.
  bool accept(Token token);
  void rollback(int tokens);
  bool may_end() const;
  // Adds the tokens that may follow. False: a limit was reached.
  bool allow(std::span<std::uint64_t> allowed) const;

 private:
  std::shared_ptr<Machine> machine_;
  std::vector<Machine::Place> places_;  // after each token; the first before all
};

}  // namespace plumb::grammar
