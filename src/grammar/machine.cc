#include "grammar/machine.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"

namespace plumb::grammar {
namespace {

constexpr Machine::Place kUnknown = -3;

std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }

}  // namespace

void Machine::Closure::clear() {
  work.clear();
  seen.clear();
  items.clear();
  accepts = exits = false;
  opened.clear();
  returns.clear();
  numbered.clear();
}

std::size_t Machine::ItemsHash::operator()(const Items& items) const {
  std::uint64_t hash = items.size();
  for (const Item& item : items) {
    hash = (hash ^ item.packed()) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  return static_cast<std::size_t>(hash);
}

Machine::Machine(std::shared_ptr<const Automaton> automaton,
                 std::shared_ptr<const Vocabulary> vocabulary, const MachineLimits& limits)
    : automaton_(std::move(automaton)),
      vocabulary_(std::move(vocabulary)),
      limits_(limits),
      nodes_(2),  // the root and the hole
      behind_(2, kNowhere) {}

// --- sets of places ---

void Machine::take(Closure& c, Item item) {
  ++work_;
  if (c.seen.insert(item.packed()).second) c.work.push_back(item);
}

void Machine::close(Closure& c) {
  while (!c.work.empty() && !spent()) {
    const Item item = c.work.back();
    c.work.pop_back();
    expand(c, item);
  }
}

void Machine::expand(Closure& c, Item item) {
  const auto [state, node] = item;
  // A rule that ends where it began is skipped by its callers, who know that it is nullable.
  if (automaton_->is_final(state) && node >= 0) {
    c.accepts = c.accepts || node == kRoot;
    c.exits = c.exits || node == kHole;
    for (const Item& to : nodes_[index(node)]) take(c, to);
  }
  bool consumes = false;
  for (const Edge& edge : automaton_->edges(state)) {
    switch (edge.kind) {
      case Edge::Kind::kBytes:
      case Edge::Kind::kControl:
        consumes = true;
        break;
      case Edge::Kind::kEmpty:
        take(c, {edge.to, node});
        break;
      case Edge::Kind::kCall:
        call(c, edge.value, {edge.to, node});
        break;
    }
  }
  if (consumes) c.items.push_back(item);
}

void Machine::call(Closure& c, RuleId rule, Item return_to) {
  if (automaton_->nullable(rule)) take(c, return_to);
  const auto [found, first] = c.opened.try_emplace(rule, c.returns.size());
  if (first) {
    c.returns.emplace_back();
    take(c, {automaton_->start(rule), kFirstOpen - static_cast<NodeId>(found->second)});
  }
  Items& returns = c.returns[found->second];
  // Where nothing is left to do in the caller, its own callers are returned to: lists that are
  // written with recursion need no deeper stack than those that are written with repetition.
  const bool last =
      automaton_->is_final(return_to.state) && automaton_->edges(return_to.state).empty();
  if (last && return_to.node > kHole) {
    const Items& callers = nodes_[index(return_to.node)];
    returns.insert(returns.end(), callers.begin(), callers.end());
  } else {
    returns.push_back(return_to);
  }
}

Machine::NodeId Machine::intern_node(Items returns) {
  std::sort(returns.begin(), returns.end());
  returns.erase(std::unique(returns.begin(), returns.end()), returns.end());
  const auto found = by_returns_.find(returns);
  if (found != by_returns_.end()) return found->second;
  const auto id = static_cast<NodeId>(nodes_.size());
  bytes_ += 2 * returns.size() * sizeof(Item) + 100;
  nodes_.push_back(returns);
  behind_.push_back(kUnknown);
  by_returns_.emplace(std::move(returns), id);
  return id;
}

// Callers before the rules that they call; there is no circle, as no rule begins with itself.
void Machine::number_opened(Closure& c) {
  c.numbered.assign(c.returns.size(), -1);
  std::vector<std::size_t> path;
  for (std::size_t i = 0; i < c.returns.size(); ++i) {
    path.push_back(i);
    while (!path.empty()) {
      const std::size_t at = path.back();
      const std::size_t depth = path.size();
      if (c.numbered[at] < 0) {
        for (const Item& to : c.returns[at]) {
          if (to.node > kFirstOpen) continue;
          const std::size_t caller = index(kFirstOpen - to.node);
          if (c.numbered[caller] < 0) path.push_back(caller);
        }
      }
      if (path.size() > depth) continue;
      path.pop_back();
      if (c.numbered[at] >= 0) continue;
      for (Item& to : c.returns[at]) {
        if (to.node <= kFirstOpen) to.node = c.numbered[index(kFirstOpen - to.node)];
      }
      c.numbered[at] = intern_node(std::move(c.returns[at]));
    }
  }
}

Machine::Place Machine::intern(Closure& c) {
  close(c);
  if (spent()) return kTooMuch;
  number_opened(c);
  for (Item& item : c.items) {
    if (item.node <= kFirstOpen) item.node = c.numbered[index(kFirstOpen - item.node)];
  }
  std::sort(c.items.begin(), c.items.end());
  c.items.erase(std::unique(c.items.begin(), c.items.end()), c.items.end());
  if (c.items.empty() && !c.accepts && !c.exits) return kNowhere;
  std::vector<Place>& places = by_items_[c.items];
  for (const Place place : places) {
    const Config& config = configs_[index(place)];
    if (config.accepts == c.accepts && config.exits == c.exits) return place;
  }
  const auto place = static_cast<Place>(configs_.size());
  bytes_ += 2 * c.items.size() * sizeof(Item) + 150;
  configs_.push_back({c.items, c.accepts, c.exits, nullptr});
  places.push_back(place);
  return place;
}

Machine::Place Machine::step(Place place, std::uint8_t byte) {
  Config& config = configs_[index(place)];
  if (!config.next) {
    config.next = std::make_unique<std::array<Place, 256>>();
    config.next->fill(kUnknown);
    bytes_ += sizeof(*config.next);
  }
  Place& known = (*config.next)[byte];  // stays where it is, unlike the config
  if (known != kUnknown) return known;
  closure_.clear();
  for (const Item& item : config.items) {
    for (const Edge& edge : automaton_->edges(item.state)) {
      if (edge.kind == Edge::Kind::kBytes && edge.low <= byte && byte <= edge.high)
        take(closure_, {edge.to, item.node});
    }
  }
  const Place to = intern(closure_);
  if (to != kTooMuch) known = to;
  return to;
}

Machine::Place Machine::behind(NodeId node) {
  if (behind_[index(node)] != kUnknown) return behind_[index(node)];
  closure_.clear();
  for (const Item& to : nodes_[index(node)]) take(closure_, to);
  const Place place = intern(closure_);
  if (place != kTooMuch) behind_[index(node)] = place;
  return place;
}

Machine::Place Machine::start() {
  const std::lock_guard lock(mutex_);
  work_ = 0;
  closure_.clear();
  take(closure_, {automaton_->start(automaton_->root()), kRoot});
  return intern(closure_);
}

Machine::Place Machine::after(Place place, Token token) {
  const std::lock_guard lock(mutex_);
  work_ = 0;
  if (token < 0 || token >= vocabulary_->size()) return kNowhere;
  const std::string_view text = vocabulary_->text(token);
  if (text.empty()) {
    closure_.clear();
    for (const Item& item : configs_[index(place)].items) {
      for (const Edge& edge : automaton_->edges(item.state)) {
        if (edge.kind == Edge::Kind::kControl && edge.value == token)
          take(closure_, {edge.to, item.node});
      }
    }
    return intern(closure_);
  }
  for (const char c : text) {
    place = step(place, static_cast<std::uint8_t>(c));
    if (place < 0) return place;
  }
  return place;
}

bool Machine::may_end(Place place) {
  const std::lock_guard lock(mutex_);
  return configs_[index(place)].accepts;
}

std::size_t Machine::bytes() {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

// --- which tokens may follow ---

template <class Visit>
void Machine::walk(const TokenTrie& trie, Place from, Visit visit) {
  if (from < 0) return;
  const std::span<const TokenTrie::Node> nodes = trie.nodes();
  std::vector<Place> path(index(trie.depth()) + 1, from);
  for (std::size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const Place place = step(path[index(node.depth) - 1], node.byte);
    ++work_;
    if (place < 0) {
      if (place == kTooMuch || spent()) return;
      i = index(node.end);
      continue;
    }
    path[index(node.depth)] = place;
    visit(node, place);
    ++i;
  }
}

void Machine::explore(const Items& states, Local& out) {
  closure_.clear();
  closure_.items = states;
  Place from = intern(closure_);
  const Filler filler = automaton_->filler(states.front().state).filler;
  std::vector<TokenTrie::Entry> leaving;
  const auto explore_trie = [&](const TokenTrie& trie) {
    walk(trie, from, [&](const TokenTrie::Node& node, Place place) {
      const std::span<const Token> tokens = trie.tokens();
      for (std::int32_t t = node.first; t < node.own_end; ++t) out.few.push_back(tokens[index(t)]);
      if (!configs_[index(place)].exits) return;
      for (std::int32_t t = node.own_end; t < node.all_end; ++t) {
        const Token token = tokens[index(t)];
        const std::string_view text =
            filler == Filler::kNone ? vocabulary_->text(token) : vocabulary_->behind(filler, token);
        leaving.push_back({text.substr(index(node.depth)), token});
      }
    });
  };
  if (filler == Filler::kNone) {
    explore_trie(vocabulary_->trie());
  } else {
    // Tokens of fillers alone are allowed by their number. The others begin with some, all of which
    // lead to the same place.
    for (const TokenTrie& trie : vocabulary_->behind(filler)) {
      if (from < 0) break;
      explore_trie(trie);
      from = step(from, static_cast<std::uint8_t>(kAnyFiller));
    }
  }
  out.leaving = TokenTrie(std::move(leaving));
  if (out.few.size() > vocabulary_->words()) {
    out.many.assign(vocabulary_->words(), 0);
    for (const Token token : out.few) insert(out.many, token);
    std::vector<Token>().swap(out.few);
  }
  bytes_ += out.few.size() * sizeof(Token) + out.many.size() * 8 + out.leaving.bytes() + 200;
}

const Machine::Local& Machine::local(const Items& states) {
  const auto found = locals_.find(states);
  if (found != locals_.end()) return *found->second;
  auto made = std::make_unique<Local>();
  explore(states, *made);
  // What was given up halfway is not kept.
  std::unique_ptr<Local>& place = spent() ? unfinished_ : locals_[states];
  place = std::move(made);
  return *place;
}

void Machine::allow_group(const Items& states, NodeId node, std::span<std::uint64_t> allowed) {
  const auto add = [&](const TokenSet& set) {
    for (std::size_t w = 0; w < set.size(); ++w) allowed[w] |= set[w];
  };
  const Filler filler = automaton_->filler(states.front().state).filler;
  if (filler != Filler::kNone) {
    int most = 0;
    for (const Item& item : states) {
      const int remaining = automaton_->filler(item.state).remaining;
      if (remaining == kUnbounded || most == kUnbounded) {
        most = kUnbounded;
      } else {
        most = std::max(most, remaining);
      }
    }
    add(vocabulary_->fillers(filler, most));
  }
  for (const Item& item : states) {
    for (const Edge& edge : automaton_->edges(item.state)) {
      if (edge.kind == Edge::Kind::kControl) insert(allowed, edge.value);
    }
  }
  const Local& inside = local(states);
  for (const Token token : inside.few) insert(allowed, token);
  add(inside.many);
  if (node == kRoot || inside.leaving.nodes().empty()) return;
  const TokenTrie& leaving = inside.leaving;
  walk(leaving, behind(node), [&](const TokenTrie::Node& at, Place) {
    for (std::int32_t t = at.first; t < at.own_end; ++t)
      insert(allowed, leaving.tokens()[index(t)]);
  });
}

// The config's items by the stack below which they are not looked at, and by what fills them; in a
// rule that is looked through, that is its caller's.
std::vector<Machine::Group> Machine::groups(Place place) {
  std::map<std::pair<NodeId, Filler>, Items> by_stack;
  const Items items = configs_[index(place)].items;
  for (const Item& item : items) {
    const Filler filler = automaton_->filler(item.state).filler;
    if (item.node <= kHole || !automaton_->look_through(item.state)) {
      by_stack[{item.node, filler}].push_back({item.state, kHole});
      continue;
    }
    const Items returns = nodes_[index(item.node)];
    for (std::size_t i = 0; i < returns.size(); ++i) {
      const NodeId below = returns[i].node;
      const auto same = [below](const Item& to) { return to.node == below; };
      if (std::any_of(returns.begin(), returns.begin() + static_cast<std::ptrdiff_t>(i), same))
        continue;
      Items callers;
      for (const Item& to : returns) {
        if (same(to)) callers.push_back({to.state, kHole});
      }
      by_stack[{below, filler}].push_back({item.state, intern_node(std::move(callers))});
    }
  }
  std::vector<Group> out;
  for (auto& [key, states] : by_stack) {
    std::sort(states.begin(), states.end());
    out.push_back({key.first, std::move(states)});
  }
  return out;
}

bool Machine::allow(Place place, std::span<std::uint64_t> allowed) {
  const std::lock_guard lock(mutex_);
  work_ = 0;
  PLUMB_CHECK(allowed.size() >= vocabulary_->words());
  for (const Group& group : groups(place)) {
    if (spent()) return false;
    allow_group(group.states, group.node, allowed);
  }
  return !spent();
}

Matcher::Matcher(std::shared_ptr<Machine> machine) : machine_(std::move(machine)) {
  places_.push_back(machine_->start());
}

bool Matcher::accept(Token token) {
  if (places_.back() < 0) return false;
  const Machine::Place place = machine_->after(places_.back(), token);
  if (place < 0) return false;
  places_.push_back(place);
  return true;
}

void Matcher::rollback(int tokens) {
  PLUMB_CHECK(tokens >= 0 && index(tokens) < places_.size());
  places_.resize(places_.size() - index(tokens));
}

bool Matcher::may_end() const { return places_.back() >= 0 && machine_->may_end(places_.back()); }

bool Matcher::allow(std::span<std::uint64_t> allowed) const {
  return places_.back() >= 0 && machine_->allow(places_.back(), allowed);
}

}  // namespace plumb::grammar
