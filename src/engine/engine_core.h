// The engine without its thread: one step at a time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/channel.h"
#include "base/result.h"
#include "cache/state_pool.h"
#include "engine/draft_pace.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/step_budget.h"
#include "model/language_model.h"

namespace plumb {

struct EngineOptions {
  SchedulerOptions scheduler;  // lowered to what the model can take
  int max_queue = 256;         // requests beyond those that can run at the same time
  int drafts = 0;              // tokens to draft per step at most, within the model's max_draft
  bool draft_always = false;   // as many as that in every step, whether or not it pays
  int max_sessions = 4;        // states kept between requests
  std::size_t max_parked_bytes = std::size_t{1} << 30;  // beyond it a parked sequence recomputes
  Pos max_context = 0;  // of prompt and answer together; 0: what model and pool allow
  // A step that reads prompts is kept about this short, or shorter beside sequences that write, see
  // StepBudget. 0: only max_step_tokens counts.
  double step_ms = 0;
  // Reads the time; tests give their own.
  std::function<Deadline()> clock = [] { return std::chrono::steady_clock::now(); };
};

struct EngineStats {
  // Requests by what they are about now. Those that wait include the parked ones.
  int running = 0, waiting = 0, parked_now = 0;
  int slots = 0;  // requests that can run at the same time
  int sessions = 0;
  StatePool::Stats pool;
  // Since the start. Prompt tokens include the cached ones; parked: how often a sequence was.
  std::uint64_t steps = 0, prompt_tokens = 0, cached_tokens = 0, generated = 0;
  std::uint64_t drafted = 0, accepted = 0, parked = 0;
  std::array<std::uint64_t, kFinishReasons> finished{};  // requests, by FinishReason
  Pos max_context = 0;      // of prompt and answer together; 0: what model and pool allow
  double step_ms = 0;       // recent average
  double tokens_per_s = 0;  // of recent steps, prompts included
};

// Where the events of one request go. Shared by two owners on two threads: the engine, which
// writes, and the reader, who may go away at any time.
struct Mailbox {
  explicit Mailbox(std::size_t capacity) : events(capacity) {}
  Channel<GenerationEvent> events;  // sized for the whole answer: the engine never waits
  std::atomic<bool> cancelled{false};
};

// What limits one request: the model, the pool's pages and the options.
struct EngineLimits {
  int vocab = 0;
  Pos context = 0;  // tokens that prompt and answer may have together
  std::string why;  // what sets it: "the model's context", "the cache", "--context"
};
EngineLimits limits_of(const ModelInfo& model, const StatePool& pool, const EngineOptions& options);

// kInvalid, or kTooLong with both numbers, names what the request asks for and what there is.
Status check_request(const GenerateRequest& request, const EngineLimits& limits);
// A mailbox that holds every event of the request (which passed check_request).
std::shared_ptr<Mailbox> make_mailbox(const GenerateRequest& request, Pos context);

// Scheduler, memory, model, sampler and speculation. Owned by the engine thread.
class EngineCore {
 public:
  // The model is attached to the pool; both outlive the engine.
  EngineCore(LanguageModel& model, StatePool& pool, const EngineOptions& options);
  ~EngineCore();

  // The request passed check_request.
  SequenceId add(GenerateRequest request, std::shared_ptr<Mailbox> mail);
  // One step: what was cancelled or is late ends, the model runs once. false: nothing ran.
  // An error is final: every request ended with kFailed.
  Result<bool> step();
  void end_all(FinishReason reason, const std::optional<Error>& error);

  bool idle() const { return scheduler_.idle(); }
  EngineStats stats() const;

  // The state that a session keeps, as bytes that name weights and numerics (docs/FORMATS.md).
  // kNotFound: there is none, or a request is using it.
  Result<std::vector<std::byte>> save_session(const std::string& name) const;
  // kCorrupt / kUnsupported say what does not match; kExhausted: no room. Returns the tokens held.
  Result<Pos> load_session(const std::string& name, std::span<const std::byte> bytes);
  void drop_session(const std::string& name) { sessions_.erase(name); }

 private:
  struct Sequence;
  struct Session {
    SequenceState state;
    std::uint64_t scope = 0;
    std::uint64_t used = 0;
  };
  class Memory;  // the scheduler's Room
  friend class Memory;

  Sequence& at(SequenceId id) { return *sequences_.at(id); }
  std::vector<Pos> snapshot_places(const GenerateRequest& request) const;
  void reap();
  Step plan();
  void plan_drafts();
  Status draft(const Step& step);
  Status settle(const StepItem& item, Mat<const float> rows);
  void score(Sequence& sequence, Pos first, Mat<const float> rows);
  void finish(SequenceId id, FinishReason reason, std::optional<Error> error = std::nullopt,
              std::optional<Token> stop_token = std::nullopt);
  void keep_session(Sequence& sequence);
  bool drop_oldest_session();
  void measure(const Step& step, double ms);

  LanguageModel& model_;
  StatePool& pool_;
  EngineOptions options_;
  EngineLimits limits_;
  std::unique_ptr<Memory> memory_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::map<std::string, Session> sessions_;
  SequenceId next_id_ = 1;
  std::uint64_t uses_ = 0;
  EngineStats stats_;
  StepBudget budget_;
  DraftPace pace_;
  DraftPace::Step pace_step_;     // the step under way
  std::vector<int> pace_rounds_;  // its draft rounds
};

}  // namespace plumb
