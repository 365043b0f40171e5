// Decides what runs next. No threads, clocks, devices or model: a pure data structure.
#pragma once

#include <cstdint>
#include <limits>
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
  int min_chunk = 32;         // prompts take turns rather than share a step in smaller pieces
  // A step ends at multiples of these, so that a snapshot can be taken there; 0: never.
  int prompt_cut = 4096;
  int answer_cut = 512;
};

// What the scheduler is told about one sequence.
struct Demand {
  Pos known = 0;            // tokens whose ids are known, > 0
  Pos prompt = 0;           // the first of them that came with the request
  std::vector<Pos> cuts;    // ascending; further places where a step has to end
  int drafts = 0;           // tokens it would like to draft per step while writing
  bool samples = true;      // false: the last token is not scored, nothing follows
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
  // Before the first step of a sequence that was let in: how many of its tokens are there by now.
  virtual Pos revisit(SequenceId id) = 0;
};

struct StepItem {
  SequenceId id = 0;
  int tokens = 0;      // known tokens to compute
  int drafts = 0;      // drafted ones that may follow them
  int scored = 0;      // trailing rows wanted, drafts included
  bool reads = false;  // part of a prompt; false: the token that was drawn last
};

struct Step {
  std::vector<StepItem> items;      // at most one per sequence
  std::vector<SequenceId> refused;  // cannot have the memory they need even alone
};

// A step is plan(), the forward pass by the caller, then commit() or remove() for every item.
//
// Every sequence that writes gets its token. What the step has for prompts goes half to the oldest
// of them and half to the one with the least left to read, ties in order of arrival; what they do
// not need goes to the others, least left first. So prompts of one length are read in order of
// arrival, a short one does not wait for a long one, and a prompt with n tokens before and in it is
// read after 2 n tokens at the latest, whoever else comes.
//
// Memory is given in order of arrival. When it runs out, the sequence that loses least (the
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

  // Prompt tokens of the coming steps at most: `beside` sequences that write (0: none) or `alone`.
  void set_prompt_tokens(int beside, int alone);
  void set_drafts(SequenceId id, int drafts);
  bool is_cut(SequenceId id, Pos length) const;  // a place where a snapshot is wanted

  bool idle() const { return entries_.empty(); }
  int running() const { return running_; }
  int unread() const;  // prompts that are not read to their end, waiting or running
  int waiting() const { return static_cast<int>(entries_.size()) - running_; }
  int writing_rows() const;  // of the coming step if everybody that writes does so, drafts included
  bool is_running(SequenceId id) const { return entries_.at(id).running; }
  Pos computed(SequenceId id) const { return entries_.at(id).computed; }
  const SchedulerOptions& options() const { return options_; }

 private:
  struct Entry {
    SequenceId id = 0;
    Demand demand;
    Pos computed = 0;
    bool running = false;
    bool fresh = false;        // let in, but in no step yet
    std::uint64_t served = 0;  // step in which it last ran
    Pos pending() const { return demand.known - computed; }
    bool writes() const { return running && pending() == 1; }
  };
  std::vector<Entry*> by_need();
  Pos next_cut(const Entry& entry) const;
  void plan_writing(const std::vector<Entry*>& order);
  void add_drafts();
  void plan_prompts();
  int oldest_share(const std::vector<Entry*>& reading, const Entry& oldest);
  void admit_waiting();
  Pos chunk_wanted(const Entry& entry) const;
  void plan_chunk(Entry& entry, int share);
  bool place(Entry& entry, int tokens, int scored);
  bool secure(Entry& entry, int tokens);
  void park(Entry& entry);
  Entry* victim();

  Room& room_;
  SchedulerOptions options_;
  std::map<SequenceId, Entry> entries_;  // ascending: order of arrival
  int running_ = 0;
  int beside_ = std::numeric_limits<int>::max(), alone_ = std::numeric_limits<int>::max();
  bool oldest_turn_ = false;  // the oldest prompt had the last step that was not worth sharing
  bool blocked_ = false;      // the oldest waiting one found no room; nothing was freed since
  std::uint64_t steps_ = 0;
  Step step_;
  int budget_ = 0, rows_ = 0;
  Pos snapshot_ = 0;  // the longest prefix that prompts of this step leave to share
};

}  // namespace plumb
