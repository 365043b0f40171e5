#include "engine/scheduler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace plumb {

void Scheduler::add(SequenceId id, Demand demand) {
  PLUMB_CHECK(demand.known > 0 && (entries_.empty() || entries_.rbegin()->first < id));
  PLUMB_CHECK(std::is_sorted(demand.cuts.begin(), demand.cuts.end()));
  Entry& entry = entries_[id];
  entry.id = id;
  entry.demand = std::move(demand);
}

void Scheduler::remove(SequenceId id) {
  const auto at = entries_.find(id);
  PLUMB_CHECK(at != entries_.end());
  if (at->second.running) --running_;
  entries_.erase(at);
  blocked_ = false;
}

void Scheduler::commit(SequenceId id, Pos computed, Pos known) {
  Entry& entry = entries_.at(id);
  PLUMB_CHECK(entry.running && computed <= known && computed >= entry.computed);
  entry.computed = computed;
  entry.demand.known = known;
}

void Scheduler::set_step_tokens(int tokens) {
  step_tokens_ = std::clamp(tokens, 1, options_.max_step_tokens);
}

void Scheduler::set_drafts(SequenceId id, int drafts) { entries_.at(id).demand.drafts = drafts; }

Pos Scheduler::next_cut(const Entry& entry) const {
  Pos next = std::numeric_limits<Pos>::max();
  const auto consider = [&](Pos at) {
    if (at > entry.computed) next = std::min(next, at);
  };
  const auto cut =
      std::upper_bound(entry.demand.cuts.begin(), entry.demand.cuts.end(), entry.computed);
  if (cut != entry.demand.cuts.end()) consider(*cut);
  if (options_.prompt_cut > 0)
    consider((entry.computed / options_.prompt_cut + 1) * options_.prompt_cut);
  if (options_.answer_cut > 0) {
    // The first multiple behind the prompt, or behind where the sequence is if that is later.
    const Pos from = std::max(entry.computed, entry.demand.prompt);
    consider((from / options_.answer_cut + 1) * options_.answer_cut);
  }
  return next;
}

bool Scheduler::is_cut(SequenceId id, Pos length) const {
  const Demand& demand = entries_.at(id).demand;
  if (length <= 0) return false;
  if (std::binary_search(demand.cuts.begin(), demand.cuts.end(), length)) return true;
  if (options_.prompt_cut > 0 && length % options_.prompt_cut == 0) return true;
  return options_.answer_cut > 0 && length > demand.prompt && length % options_.answer_cut == 0;
}

std::vector<Scheduler::Entry*> Scheduler::by_need() {
  std::vector<Entry*> order;
  for (auto& [id, entry] : entries_) {
    if (entry.running) order.push_back(&entry);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Entry* a, const Entry* b) { return a->served < b->served; });
  return order;
}

Scheduler::Entry* Scheduler::victim() {
  Entry* chosen = nullptr;
  bool oldest = true;
  for (auto& [id, entry] : entries_) {
    if (!entry.running) continue;
    if (std::exchange(oldest, false)) continue;
    if (!chosen || entry.computed <= chosen->computed) chosen = &entry;
  }
  return chosen;
}

void Scheduler::park(Entry& entry) {
  const auto at = std::find_if(step_.items.begin(), step_.items.end(),
                               [&](const StepItem& item) { return item.id == entry.id; });
  if (at != step_.items.end()) {
    budget_ += at->tokens + at->drafts;
    rows_ += at->scored;
    step_.items.erase(at);
  }
  room_.park(entry.id);
  entry.running = false;
  --running_;
  blocked_ = false;
}

// Room for `tokens`, others giving way. false: the sequence itself was parked, or refused.
bool Scheduler::secure(Entry& entry, int tokens) {
  while (!room_.grow(entry.id, tokens)) {
    Entry* loser = victim();
    if (!loser) {  // nobody else is left
      step_.refused.push_back(entry.id);
      return false;
    }
    park(*loser);
    if (loser == &entry) return false;
  }
  return true;
}

bool Scheduler::place(Entry& entry, int tokens, int scored) {
  if (!secure(entry, tokens)) return false;
  step_.items.push_back({entry.id, tokens, 0, scored});
  budget_ -= tokens;
  rows_ -= scored;
  entry.served = steps_;
  return true;
}

void Scheduler::plan_writing(const std::vector<Entry*>& order) {
  for (Entry* entry : order) {
    if (!entry->running || entry->pending() != 1 || budget_ < 1) continue;
    const int scored = entry->demand.samples || entry->demand.scores_all ? 1 : 0;
    if (scored <= rows_) place(*entry, 1, scored);
  }
}

// What the step has left after everybody who writes got a token and prompts their share.
void Scheduler::add_drafts() {
  for (StepItem& item : step_.items) {
    const Entry& entry = entries_.at(item.id);
    // A draft follows from what was computed before the token it follows.
    if (entry.pending() != 1 || entry.computed == 0 || !entry.demand.samples) continue;
    const Pos before_cut = next_cut(entry) - entry.computed - 1;
    int drafts = std::min({entry.demand.drafts, budget_, rows_});
    drafts = static_cast<int>(std::min<Pos>(drafts, before_cut));
    // Nobody is parked for the sake of a guess.
    if (drafts <= 0 || !room_.grow(item.id, 1 + drafts)) continue;
    item.drafts = drafts;
    item.scored += drafts;
    budget_ -= drafts;
    rows_ -= drafts;
  }
}

void Scheduler::plan_chunk(Entry& entry, int share) {
  Pos tokens = std::min<Pos>({entry.pending(), share, budget_, next_cut(entry) - entry.computed});
  int scored = 0;
  if (entry.demand.scores_all) {
    tokens = std::min<Pos>(tokens, rows_);
    scored = static_cast<int>(tokens);
  } else if (tokens == entry.pending() && entry.demand.samples) {
    scored = 1;
    if (rows_ < 1) {  // the last token waits for a step that can score it
      --tokens;
      scored = 0;
    }
  }
  if (tokens > 0) place(entry, static_cast<int>(tokens), scored);
}

void Scheduler::plan_prompts(const std::vector<Entry*>& order) {
  std::vector<Entry*> reading;
  for (Entry* entry : order) {
    if (entry->running && entry->pending() > 1) reading.push_back(entry);
  }
  for (std::size_t i = 0; i < reading.size() && budget_ > 0; ++i) {
    if (!reading[i]->running) continue;  // parked meanwhile
    const int left = static_cast<int>(reading.size() - i);
    plan_chunk(*reading[i], std::max(options_.min_chunk, budget_ / left));
  }
}

void Scheduler::admit_waiting() {
  for (auto& [id, entry] : entries_) {
    if (running_ >= options_.max_sequences || budget_ < 1 || blocked_) return;
    if (entry.running) continue;
    const bool alone = running_ == 0;
    const std::optional<Pos> there = room_.admit(id, alone);
    if (!there) {
      if (alone) {
        step_.refused.push_back(id);
        continue;
      }
      blocked_ = true;
      return;
    }
    entry.computed = *there;
    PLUMB_CHECK(entry.pending() > 0);
    entry.running = true;
    ++running_;
    plan_chunk(entry, budget_);
  }
}

Step Scheduler::plan() {
  ++steps_;
  step_ = {};
  budget_ = step_tokens_ > 0 ? step_tokens_ : options_.max_step_tokens;
  rows_ = options_.max_scored_rows;
  const std::vector<Entry*> order = by_need();
  const int running_before = running_;
  plan_writing(order);
  plan_prompts(order);
  // Whoever was parked in this step waits at least until the next one.
  if (running_ == running_before || running_ == 0) admit_waiting();
  add_drafts();
  return std::move(step_);
}

}  // namespace plumb
