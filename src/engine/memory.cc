#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/sequence.h"

namespace plumb {
namespace {

Pos pages_for(const StateLayout& layout, Pos tokens) {
  return (tokens + layout.page_tokens - 1) / layout.page_tokens;
}

}  // namespace

// Pages that running sequences and sessions hold, shared ones counted once.
int EngineCore::Memory::pages_in_use() const {
  std::vector<char> used(static_cast<std::size_t>(core_.pool_.stats().pages_total), 0);
  const auto mark = [&](const SequenceState& state) {
    for (const std::int32_t page : state.pages()) used[static_cast<std::size_t>(page)] = 1;
  };
  for (const auto& [id, sequence] : core_.sequences_) {
    if (sequence->state.valid()) mark(sequence->state);
  }
  for (const auto& [name, session] : core_.sessions_) mark(session.state);
  return static_cast<int>(std::count(used.begin(), used.end(), 1));
}

// Whether a newcomer of so many tokens can be let in, idle sessions giving way. Counts a shared
// prefix as if it were not shared: the newcomer may wait a little longer than it has to, but never
// drives others out. One page per running sequence stays free for them to grow.
bool EngineCore::Memory::make_space(Pos tokens, const std::string& keep_session, bool alone) {
  for (;;) {
    const StatePool::Stats stats = core_.pool_.stats();
    const Pos wanted = pages_for(core_.pool_.layout(), tokens) + core_.scheduler_.running();
    const bool has_own = !keep_session.empty() && core_.sessions_.contains(keep_session);
    // The session to continue holds pages that the newcomer will not need again.
    const Pos own =
        has_own ? static_cast<Pos>(core_.sessions_.at(keep_session).state.pages().size()) : 0;
    const bool slot = stats.sequences < stats.sequences_max || has_own;
    if (slot && pages_in_use() - own + wanted <= stats.pages_total) return true;
    if (has_own) core_.sessions_.at(keep_session).used = ++core_.uses_;  // others give way first
    if (core_.sessions_.size() > (has_own ? 1u : 0u)) {
      core_.drop_oldest_session();
      continue;
    }
    return alone;  // with nobody to wait for, the pool has the last word
  }
}

// Whether the request may start from the state that its session keeps.
bool EngineCore::Memory::may_continue(const Sequence& s) {
  return !s.request.session.empty() && !s.was_admitted && !s.request.score_prompt;
}

// The state kept under the request's session name, if the tokens begin with what it holds or it can
// go back to where they part.
std::optional<SequenceState> EngineCore::Memory::take_session(Sequence& s) {
  const auto at = core_.sessions_.find(s.request.session);
  if (at == core_.sessions_.end()) return std::nullopt;
  Session session = std::move(at->second);
  core_.sessions_.erase(at);
  const std::span<const Key> held = session.state.keys();
  const std::size_t most = std::min(held.size(), s.tokens.size() - 1);
  std::size_t common = 0;
  while (common < most && held[common] == static_cast<Key>(s.tokens[common])) ++common;
  if (session.scope != s.request.scope || common == 0) return std::nullopt;
  if (!core_.pool_.truncate(session.state, static_cast<Pos>(common))) return std::nullopt;
  return std::move(session.state);
}

// The keys by which a published prefix may be found: none if every token has to be scored.
std::vector<Key> EngineCore::Memory::shareable(const Sequence& s) {
  return s.keys(0, s.request.score_prompt && s.generated() == 0 ? 1 : s.tokens.size());
}

Result<SequenceState> EngineCore::Memory::obtain(Sequence& s) {
  s.untouched = false;
  if (!s.parked.empty()) {
    Result<SequenceState> state = core_.pool_.load(s.parked, s.request.scope);
    if (state || state.error().code == Code::kExhausted) return state;
    release_parked(s);  // cannot be read back: recompute
  }
  if (may_continue(s)) {
    if (auto kept = take_session(s)) return std::move(*kept);
  }
  s.untouched = true;
  return core_.pool_.open(shareable(s), s.request.scope);
}

std::optional<Pos> EngineCore::Memory::admit(SequenceId id, bool alone) {
  Sequence& s = core_.at(id);
  const Pos known = static_cast<Pos>(s.tokens.size());
  if (!make_space(known + 1, may_continue(s) ? s.request.session : std::string(), alone)) {
    return std::nullopt;
  }
  Result<SequenceState> state = obtain(s);
  if (!state) return std::nullopt;
  const int missing = static_cast<int>(known - state->length());
  while (!core_.pool_.reserve(*state, missing)) {
    if (!core_.drop_oldest_session()) return std::nullopt;
  }
  release_parked(s);
  s.state = std::move(*state);
  if (!s.was_admitted) {
    s.was_admitted = true;
    s.usage.cached = static_cast<int>(s.state.length());
    core_.stats_.cached_tokens += static_cast<std::uint64_t>(s.usage.cached);
  }
  return s.state.length();
}

bool EngineCore::Memory::grow(SequenceId id, int tokens) {
  Sequence& s = core_.at(id);
  while (!core_.pool_.reserve(s.state, tokens)) {
    if (!core_.drop_oldest_session()) return false;
  }
  return true;
}

// Between being let in and its first step others may have read the same prefix.
Pos EngineCore::Memory::revisit(SequenceId id) {
  Sequence& s = core_.at(id);
  const Pos before = s.state.length();
  if (!s.untouched || !core_.pool_.reopen(s.state, shareable(s))) return before;
  // Never fails: more pages went back than are needed now.
  const int missing = static_cast<int>(static_cast<Pos>(s.tokens.size()) - s.state.length());
  PLUMB_CHECK(core_.pool_.reserve(s.state, missing).has_value());
  if (s.told_progress == 0) {
    const int gained = static_cast<int>(s.state.length() - before);
    s.usage.cached += gained;
    core_.stats_.cached_tokens += static_cast<std::uint64_t>(gained);
  }
  return s.state.length();
}

void EngineCore::Memory::park(SequenceId id) {
  Sequence& s = core_.at(id);
  ++core_.stats_.parked;
  if (s.untouched) {  // nothing to keep
    s.state = SequenceState();
    return;
  }
  const StateLayout& layout = core_.pool_.layout();
  const auto estimate =
      static_cast<std::size_t>(layout.bytes_per_token() * static_cast<double>(s.state.length())) +
      layout.packed_tail_bytes(s.state.length());
  if (parked_bytes_ + estimate <= core_.options_.max_parked_bytes) {
    s.parked = core_.pool_.save(s.state);
    parked_bytes_ += s.parked.size();
  }
  s.state = SequenceState();
}

void EngineCore::Memory::release_parked(Sequence& s) {
  parked_bytes_ -= s.parked.size();
  s.parked = {};
}

}  // namespace plumb
