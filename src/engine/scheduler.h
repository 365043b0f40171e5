// Decides what runs next. No threads, clocks, devices or model: a pure data structure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"

namespace plumb {

using SequenceId = std::uint64_t;  // in order of arrival

struct SchedulerOptions {
  int max_sequences = 16;     // that hold memory at the same time
  int max_step_tokens = 512;  // of one step, all sequences together
  int max_scored_rows = 64;   // of one step
  int min_chunk = 32;         // a prompt is not cut into smaller pieces to be fair to others
  // A step ends at multiples of these, so that a snapshot can be taken there; 0: never.
  int prompt_cut = 4096;
  int answer_cut = 512;
};

// What the scheduler is told about one sequence.
struct Demand {
  Pos known = 0;          // tokens whose ids are known, > 0
  Pos prompt = 0;         // the first of them that came with the request
  std::vector<Pos> cuts;  // ascending; further places where a step has to end
  int drafts = 0;         // tokens it would like to draft per step while writing
  bool samples = true;    // false: the last token is not scored, nothing follows
  bool scores_all = false;  // every row is scored (tokens of one step <= max_scored_rows)
};

// The memory that sequences need, as the scheduler sees it.
class Room {
 public:
  virtual ~Room() = default;
  // Gives the sequence memory, enough for all of its known tokens, and says how many of them are
  // there already. nullopt: no room now. `alone`: nobody else holds memory.
  virtual std::optional<Pos> admit(SequenceId id, bool alone) = 0;
  // Room for `tokens` more. false: somebody has to give way.
  virtual bool grow(SequenceId id, int tokens) = 0;
  // Takes the sequence's memory away until it is admitted again.
  virtual void park(SequenceId id) = 0;
};

struct StepItem {
  SequenceId id = 0;
  int tokens = 0;  // known tokens to compute
  int drafts = 0;  // drafted ones that may follow them
  int scored = 0;  // trailing rows wanted, drafts included
};

struct Step {
  std::vector<StepItem> items;      // at most one per sequence
  std::vector<SequenceId> refused;  // cannot have the memory they need even alone
};

// A step is plan(), the forward pass by the caller, then commit() or remove() for every item.
// Sequences that write come first; prompts share what is left of the step, least recently served
// first. Memory is given in order of arrival. When it runs out, the sequence that loses least (the
// shortest, then the youngest) is parked, but never the oldest: so one always progresses, and every
// sequence becomes the oldest in the end. Thread-compatible.
class Scheduler {
 public:
  Scheduler(Room& room, const SchedulerOptions& options) : room_(room), options_(options) {}

  void add(SequenceId id, Demand demand);  // ids ascend
  void remove(SequenceId id);              // its memory was given back
  Step plan();
  // The sequence now has `computed` of `known` tokens.
  void commit(SequenceId id, Pos computed, Pos known);

  void set_step_tokens(int tokens);  // lowers max_step_tokens for the time being
  void set_drafts(SequenceId id, int drafts);
  bool is_cut(SequenceId id, Pos length) const;  // a place where a snapshot is wanted

  bool idle() const { return entries_.empty(); }
  int running() const { return running_; }
  int waiting() const { return static_cast<int>(entries_.size()) - running_; }
  bool is_running(SequenceId id) const { return entries_.at(id).running; }
  Pos computed(SequenceId id) const { return entries_.at(id).computed; }
  const SchedulerOptions& options() const { return options_; }

 private:
  struct Entry {
    SequenceId id = 0;
    Demand demand;
    Pos computed = 0;
    bool running = false;
    std::uint64_t served = 0;  // step in which it last ran
    Pos pending() const { return demand.known - computed; }
  };
  std::vector<Entry*> by_need();
  Pos next_cut(const Entry& entry) const;
  void plan_writing(const std::vector<Entry*>& order);
  void add_drafts();
  void plan_prompts(const std::vector<Entry*>& order);
  void admit_waiting();
  void plan_chunk(Entry& entry, int share);
  bool place(Entry& entry, int tokens, int scored);
  bool secure(Entry& entry, int tokens);
  void park(Entry& entry);
  Entry* victim();

  Room& room_;
  SchedulerOptions options_;
  std::map<SequenceId, Entry> entries_;  // ascending: order of arrival
  int running_ = 0;
  int step_tokens_ = 0;  // 0: options_.max_step_tokens
  bool blocked_ = false;  // the oldest waiting one found no room; nothing was freed since
  std::uint64_t steps_ = 0;
  Step step_;
  int budget_ = 0, rows_ = 0;
};

}  // namespace plumb
