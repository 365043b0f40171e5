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

void Scheduler::set_prompt_tokens(int beside, int alone) {
  beside_ = std::max(beside, 0);
  alone_ = std::max(alone, 1);
}

void Scheduler::set_drafts(SequenceId id, int drafts) { entries_.at(id).demand.drafts = drafts; }

int Scheduler::unread() const {
  return static_cast<int>(std::count_if(entries_.begin(), entries_.end(),
                                        [](const auto& entry) { return !entry.second.writes(); }));
}

int Scheduler::writing_rows() const {
  int rows = 0;
  for (const auto& [id, entry] : entries_) rows += entry.writes() ? 1 + entry.demand.drafts : 0;
  return rows;
}

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
  step_.items.push_back({entry.id, tokens, 0, scored, entry.pending() > 1});
  budget_ -= tokens;
  rows_ -= scored;
  entry.served = steps_;
  return true;
}

void Scheduler::plan_writing(const std::vector<Entry*>& order) {
  for (Entry* entry : order) {
    if (!entry->writes() || budget_ < 1) continue;
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

// What the sequence could compute next if nobody else were there.
Pos Scheduler::chunk_wanted(const Entry& entry) const {
  return std::min(entry.pending(), next_cut(entry) - entry.computed);
}

void Scheduler::plan_chunk(Entry& entry, int share) {
  if (entry.fresh) entry.computed = room_.revisit(entry.id);
  Pos tokens = std::min<Pos>({chunk_wanted(entry), share, budget_});
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
  if (tokens <= 0 || !place(entry, static_cast<int>(tokens), scored)) return;
  entry.fresh = false;
  const Pos end = entry.computed + tokens;
  if (is_cut(entry.id, end)) snapshot_ = std::max(snapshot_, end);
}

// How much of the budget the oldest prompt gets; the others have more or less left to read.
int Scheduler::oldest_share(const std::vector<Entry*>& reading, const Entry& oldest) {
  if (&oldest == reading.front()) return budget_;
  Pos others = -chunk_wanted(oldest);
  for (const Entry* entry : reading) others += chunk_wanted(*entry);
  const int half = budget_ - budget_ / 2;
  if (budget_ - others >= half) return static_cast<int>(budget_ - others);
  if (budget_ / 2 >= options_.min_chunk || chunk_wanted(oldest) <= half) return half;
  oldest_turn_ = !oldest_turn_;
  return oldest_turn_ ? budget_ : 0;
}

void Scheduler::plan_prompts() {
  std::vector<Entry*> reading;  // with those that were let in just now, of whatever kind
  for (auto& [id, entry] : entries_) {
    if (entry.running && entry.served != steps_) reading.push_back(&entry);
  }
  if (reading.empty()) return;
  Entry& oldest = *reading.front();
  std::stable_sort(reading.begin(), reading.end(),
                   [](const Entry* a, const Entry* b) { return a->pending() < b->pending(); });
  snapshot_ = 0;
  plan_chunk(oldest, oldest_share(reading, oldest));
  for (Entry* entry : reading) {
    if (budget_ < 1) return;
    // What has not begun may begin with what this step leaves to share.
    const bool early = entry->fresh && entry->computed < snapshot_;
    if (entry != &oldest && entry->running && !early) plan_chunk(*entry, budget_);
  }
}

void Scheduler::admit_waiting() {
  for (auto& [id, entry] : entries_) {
    if (running_ >= options_.max_sequences || blocked_) return;
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
    entry.running = entry.fresh = true;
    ++running_;
  }
}

Step Scheduler::plan() {
  ++steps_;
  step_ = {};
  budget_ = options_.max_step_tokens;
  rows_ = options_.max_scored_rows;
  const int running_before = running_;
  plan_writing(by_need());
  const int for_prompts = std::min(budget_, step_.items.empty() ? alone_ : beside_);
  const int for_drafts = budget_ - for_prompts;
  if (for_prompts > 0) {
    // Whoever was parked in this step waits at least until the next one.
    if (running_ == running_before || running_ == 0) admit_waiting();
    budget_ = for_prompts;
    plan_prompts();
    budget_ += for_drafts;
  }
  add_drafts();
  return std::move(step_);
}

}  // namespace plumb
