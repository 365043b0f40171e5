// The engine's part in speculation: who drafts how much, and the drafts themselves.
#include <algorithm>
#include <vector>

#include "engine/engine_core.h"
#include "engine/sequence.h"

namespace plumb {

// Tells the scheduler how many drafts every sequence that writes in the coming step would like.
void EngineCore::plan_drafts() {
  if (options_.drafts == 0) return;
  std::vector<SequenceId> ids;
  std::vector<DraftPace::Writer> writers;
  for (const auto& [id, s] : sequences_) {
    scheduler_.set_drafts(id, 0);
    const bool writes = scheduler_.is_running(id) && s->max_tokens > 0 &&
                        static_cast<Pos>(s->tokens.size()) - scheduler_.computed(id) == 1;
    if (!writes) continue;
    // The last token of an answer is drawn, never computed.
    const int left = s->max_tokens - s->generated() - 1;
    const int most = s->request.speculate ? std::clamp(left, 0, options_.drafts) : 0;
    ids.push_back(id);
    writers.push_back({&s->acceptance, most});
  }
  const std::vector<int> drafts = pace_.choose(writers);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    scheduler_.set_drafts(ids[i], options_.draft_always ? writers[i].most : drafts[i]);
  }
}

// Fills Sequence::drafts of every item that may have some, and what pace_step_ knows by then.
Status EngineCore::draft(const Step& step) {
  std::vector<DraftItem> items;
  std::vector<Sequence*> owners;
  pace_step_ = {};
  pace_rounds_.clear();
  for (const StepItem& item : step.items) {
    Sequence& s = at(item.id);
    s.drafts.clear();
    pace_step_.reads |= item.reads;
    pace_step_.writers += item.reads ? 0 : 1;
    if (item.drafts == 0) continue;
    pace_rounds_.resize(std::max(pace_rounds_.size(), static_cast<std::size_t>(item.drafts)), 0);
    for (int round = 0; round < item.drafts; ++round) {
      ++pace_rounds_[static_cast<std::size_t>(round)];
    }
    items.push_back({&s.state, s.tokens.back(), item.drafts});
    owners.push_back(&s);
  }
  if (items.empty()) return {};
  std::vector<char> ended(items.size(), 0);
  const DraftPick pick = [&](int i, int step_index, std::span<const float> logits) -> Token {
    const auto index = static_cast<std::size_t>(i);
    Sequence& s = *owners[index];
    const Pos position = static_cast<Pos>(s.tokens.size()) + step_index;
    if (ended[index]) return s.tokens.back();
    const Result<Sampled> chosen = s.chooser.choose(sampler_, logits, position);
    // Drafts are guesses: one that cannot be made is no error. Nothing follows a stop token.
    const auto& stops = s.request.stop_tokens;
    if (!chosen || std::find(stops.begin(), stops.end(), chosen->token) != stops.end()) {
      ended[index] = 1;
      return chosen ? chosen->token : s.tokens.back();
    }
    s.chooser.accept(chosen->token);
    s.drafts.push_back(chosen->token);
    return chosen->token;
  };
  const Status status = model_.draft(items, pick);
  for (Sequence* s : owners) {
    s->chooser.rollback(static_cast<int>(s->drafts.size()));
    pace_step_.drafted += static_cast<int>(s->drafts.size());
  }
  pace_step_.rounds = pace_rounds_;
  return status;
}

}  // namespace plumb
