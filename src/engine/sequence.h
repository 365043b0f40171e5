// Everything the engine knows about one request. Internal to the engine.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "cache/state_pool.h"
#include "engine/draft_pace.h"
#include "engine/engine_core.h"
#include "engine/request.h"
#include "engine/speculate.h"

namespace plumb {

struct EngineCore::Sequence {
  Sequence(SequenceId id_, GenerateRequest request_, std::shared_ptr<Mailbox> mail_, int vocab,
           int drafts)
      : id(id_),
        request(std::move(request_)),
        mail(std::move(mail_)),
        tokens(request.prompt),
        prompt(static_cast<int>(request.prompt.size())),
        chooser(request.sampling, request.prompt, request.filter.get(), vocab),
        acceptance(drafts) {}

  std::vector<Key> keys(std::size_t first, std::size_t count) const {
    return {tokens.begin() + static_cast<std::ptrdiff_t>(first),
            tokens.begin() + static_cast<std::ptrdiff_t>(first + count)};
  }
  int generated() const { return static_cast<int>(tokens.size()) - prompt; }

  SequenceId id;
  GenerateRequest request;
  std::shared_ptr<Mailbox> mail;
  std::vector<Token> tokens;  // prompt and answer; during a step the drafts behind them
  int prompt;
  int max_tokens = 0;         // resolved: never -1
  SequenceState state;        // valid while it runs
  bool untouched = false;     // the state is as the pool opened it
  std::vector<std::byte> parked;
  TokenChooser chooser;
  Acceptance acceptance;      // of its drafts
  std::vector<Token> drafts;  // of the current step
  int told_progress = 0, told_scores = 0;  // prompt tokens reported so far
  bool was_admitted = false;  // it had memory
  bool has_begun = false;     // it was in a step
  GenerationUsage usage;
  Deadline submitted, begun, first_token;
};

// Hands out the pool: published prefixes and idle sessions give way before any sequence does.
class EngineCore::Memory final : public Room {
 public:
  explicit Memory(EngineCore& core) : core_(core) {}

  std::optional<Pos> admit(SequenceId id, bool alone) override;
  bool grow(SequenceId id, int tokens) override;
  void park(SequenceId id) override;
  Pos revisit(SequenceId id) override;
  void release_parked(Sequence& sequence);

 private:
  bool make_space(Pos tokens, const std::string& keep_session, bool alone);
  Result<SequenceState> obtain(Sequence& sequence);
  static std::vector<Key> shareable(const Sequence& sequence);
  static bool may_continue(const Sequence& sequence);
  std::optional<SequenceState> take_session(Sequence& sequence);
  int pages_in_use() const;

  EngineCore& core_;
  std::size_t parked_bytes_ = 0;
};

}  // namespace plumb
