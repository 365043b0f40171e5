#include "engine/engine_core.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/sequence.h"

namespace plumb {
namespace {

// Snapshots are taken at the first boundary (a system prompt that many share) and at the last few
// (where this conversation will go on).
constexpr std::size_t kLastBoundaries = 3;

double ms_between(Deadline from, Deadline to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

EngineOptions fitted(EngineOptions options, const ModelInfo& model, const StatePool& pool) {
  const StateLayout& layout = pool.layout();
  SchedulerOptions& s = options.scheduler;
  s.max_step_tokens = std::clamp(s.max_step_tokens, 1, model.max_step_tokens);
  s.max_scored_rows = std::clamp(s.max_scored_rows, 1, model.max_scored_rows);
  s.max_sequences =
      std::clamp(s.max_sequences, 1, std::min(s.max_step_tokens, pool.stats().sequences_max));
  s.min_chunk = std::clamp(s.min_chunk, 1, s.max_step_tokens);
  const auto whole_pages = [&](int tokens) {
    return tokens / layout.page_tokens * layout.page_tokens;
  };
  s.prompt_cut = whole_pages(s.prompt_cut);
  s.answer_cut = whole_pages(s.answer_cut);
  options.drafts = std::clamp(options.drafts, 0, std::min(model.max_draft, layout.max_rewind));
  return options;
}

}  // namespace

EngineLimits limits_of(const ModelInfo& model, const StatePool& pool,
                       const EngineOptions& options) {
  EngineLimits limits;
  limits.vocab = model.vocab;
  limits.context = model.max_positions;
  limits.why = "the model's context is ";
  const auto lower = [&](Pos to, const char* why) {
    if (to <= 0 || to >= limits.context) return;
    limits.context = to;
    limits.why = why;
  };
  lower(options.max_context, "the context of this run is ");
  lower(static_cast<Pos>(pool.stats().pages_total) * pool.layout().page_tokens, "the cache holds ");
  return limits;
}

Status check_request(const GenerateRequest& request, const EngineLimits& limits) {
  if (request.prompt.empty()) {
    return Error{Code::kInvalid, "The prompt holds no token, expected at least one."};
  }
  for (const Token token : request.prompt) {
    if (token >= 0 && token < limits.vocab) continue;
    return Error{Code::kInvalid, "The prompt holds the token " + std::to_string(token) +
                                     ", expected ids from 0 to " +
                                     std::to_string(limits.vocab - 1) + "."};
  }
  PLUMB_TRY_STATUS(request.sampling.validate(limits.vocab));
  const Pos prompt = static_cast<Pos>(request.prompt.size());
  const std::string have = limits.why + std::to_string(limits.context) + " tokens.";
  if (request.max_tokens < 0 && prompt >= limits.context) {
    return Error{Code::kTooLong, "The prompt of " + std::to_string(prompt) +
                                     " tokens leaves no room for an answer: " + have};
  }
  if (request.max_tokens >= 0 && prompt + request.max_tokens > limits.context) {
    return Error{Code::kTooLong,
                 "The prompt of " + std::to_string(prompt) + " tokens and an answer of up to " +
                     std::to_string(request.max_tokens) + " need " +
                     std::to_string(prompt + request.max_tokens) + " tokens: " + have};
  }
  return {};
}

std::shared_ptr<Mailbox> make_mailbox(const GenerateRequest& request, Pos context) {
  const auto prompt = request.prompt.size();
  const auto answer = request.max_tokens >= 0 ? static_cast<std::size_t>(request.max_tokens)
                                              : static_cast<std::size_t>(context) - prompt;
  // Progress and scores are reported at most once per prompt token each; then the end.
  return std::make_shared<Mailbox>(2 * prompt + answer + 1);
}

EngineCore::EngineCore(LanguageModel& model, StatePool& pool, const EngineOptions& options)
    : model_(model),
      pool_(pool),
      options_(fitted(options, model.info(), pool)),
      limits_(limits_of(model.info(), pool, options)),
      memory_(std::make_unique<Memory>(*this)),
      scheduler_(*memory_, options_.scheduler),
      budget_(options_.step_ms, options_.scheduler.min_chunk, options_.scheduler.max_step_tokens),
      pace_(options_.drafts) {}

EngineCore::~EngineCore() { end_all(FinishReason::kCancelled, std::nullopt); }

std::vector<Pos> EngineCore::snapshot_places(const GenerateRequest& request) const {
  const int page = pool_.layout().page_tokens;
  const Pos prompt = static_cast<Pos>(request.prompt.size());
  std::vector<Pos> places;
  for (const int boundary : request.boundaries) {
    const Pos at = std::min<Pos>(boundary, prompt) / page * page;
    if (at > 0 && (places.empty() || at > places.back())) places.push_back(at);
  }
  const Pos last = prompt / page * page;
  if (last > 0 && (places.empty() || last > places.back())) places.push_back(last);
  if (places.size() > kLastBoundaries + 1) {
    places.erase(places.begin() + 1, places.end() - static_cast<std::ptrdiff_t>(kLastBoundaries));
  }
  return places;
}

SequenceId EngineCore::add(GenerateRequest request, std::shared_ptr<Mailbox> mail) {
  const ModelInfo& info = model_.info();
  const SequenceId id = next_id_++;
  const bool speculate = request.speculate && options_.drafts > 0;
  auto owned = std::make_unique<Sequence>(id, std::move(request), std::move(mail), info.vocab,
                                          speculate ? options_.drafts : 0);
  Sequence& s = *owned;
  s.submitted = options_.clock();
  s.usage.prompt = s.prompt;
  s.max_tokens = s.request.max_tokens >= 0 ? s.request.max_tokens
                                           : static_cast<int>(limits_.context - s.prompt);
  Demand demand;
  demand.known = demand.prompt = s.prompt;
  demand.cuts = snapshot_places(s.request);
  demand.samples = s.max_tokens > 0;
  demand.scores_all = s.request.score_prompt;
  model_.hint(s.request.prompt);
  sequences_.emplace(id, std::move(owned));
  scheduler_.add(id, std::move(demand));
  return id;
}

bool EngineCore::drop_oldest_session() {
  if (sessions_.empty()) return false;
  sessions_.erase(
      std::min_element(sessions_.begin(), sessions_.end(),
                       [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  return true;
}

void EngineCore::keep_session(Sequence& s) {
  if (s.request.session.empty() || !s.state.valid() || s.state.length() == 0) return;
  sessions_.erase(s.request.session);
  while (static_cast<int>(sessions_.size()) >= std::max(options_.max_sessions, 1))
    drop_oldest_session();
  sessions_.emplace(s.request.session, Session{std::move(s.state), s.request.scope, ++uses_});
}

void EngineCore::finish(SequenceId id, FinishReason reason, std::optional<Error> error,
                        std::optional<Token> stop_token) {
  Sequence& s = at(id);
  const Deadline now = options_.clock();
  s.usage.generated = s.generated();
  const bool wrote = s.first_token != Deadline{};
  s.usage.queue_ms = ms_between(s.submitted, s.has_begun ? s.begun : now);
  if (s.has_begun) s.usage.prompt_ms = ms_between(s.begun, wrote ? s.first_token : now);
  if (wrote) s.usage.decode_ms = ms_between(s.first_token, now);
  if (reason != FinishReason::kFailed) keep_session(s);
  memory_->release_parked(s);
  ++stats_.finished[static_cast<std::size_t>(reason)];
  s.mail->events.try_push(GenerationEnd{reason, stop_token, s.usage, std::move(error)});
  s.mail->events.close();
  scheduler_.remove(id);
  sequences_.erase(id);
}

void EngineCore::end_all(FinishReason reason, const std::optional<Error>& error) {
  while (!sequences_.empty()) finish(sequences_.begin()->first, reason, error);
}

void EngineCore::reap() {
  const Deadline now = options_.clock();
  std::vector<std::pair<SequenceId, FinishReason>> over;
  for (const auto& [id, s] : sequences_) {
    if (s->mail->cancelled.load(std::memory_order_relaxed)) {
      over.emplace_back(id, FinishReason::kCancelled);
    } else if (s->request.deadline && now >= *s->request.deadline) {
      over.emplace_back(id, FinishReason::kDeadline);
    }
  }
  for (const auto& [id, reason] : over) finish(id, reason);
}

void EngineCore::score(Sequence& s, Pos first, Mat<const float> rows) {
  PromptScores scores;
  for (int r = 0; r < rows.rows; ++r) {
    const Pos predicted = first + r + 1;
    if (predicted <= s.told_scores || predicted >= s.prompt) continue;
    if (scores.logprobs.empty()) scores.first = static_cast<int>(predicted);
    scores.logprobs.push_back(
        token_logprob(rows.span(r), s.tokens[static_cast<std::size_t>(predicted)]));
    s.told_scores = static_cast<int>(predicted);
  }
  if (!scores.logprobs.empty()) s.mail->events.try_push(std::move(scores));
}

// After the forward pass: what one sequence learned from it. Errors concern this sequence only.
Status EngineCore::settle(const StepItem& item, Mat<const float> rows) {
  Sequence& s = at(item.id);
  const Pos before = s.state.length();
  const Pos known = static_cast<Pos>(s.tokens.size() - s.drafts.size());
  const Pos computed = before + item.tokens;
  const bool complete = computed == known;
  s.untouched = false;
  pool_.advance(s.state, s.keys(static_cast<std::size_t>(before),
                                static_cast<std::size_t>(item.tokens) + s.drafts.size()));
  s.tokens.resize(static_cast<std::size_t>(known));
  const Pos first_scored = s.state.length() - rows.rows;
  for (int r = 0; r < rows.rows; ++r) {
    PLUMB_TRY_STATUS(check_finite(rows.span(r), first_scored + r + 1));
  }
  if (s.request.score_prompt && before < s.prompt) score(s, before, rows);
  if (before < s.prompt) {
    const int done = static_cast<int>(std::min<Pos>(computed, s.prompt));
    stats_.prompt_tokens += static_cast<std::uint64_t>(std::max(done - s.told_progress, 0));
    if (done > s.told_progress) s.mail->events.try_push(PromptProgress{done, s.prompt});
    s.told_progress = std::max(done, s.told_progress);
  }
  Verdict verdict;
  if (complete && s.max_tokens > 0) {
    const int drafts = static_cast<int>(s.drafts.size());
    PLUMB_TRY(found, verify(s.chooser, sampler_, rows.slice(rows.rows - 1 - drafts, drafts + 1),
                            s.drafts, known, s.request.stop_tokens));
    verdict = std::move(found);
    pace_.record_drafts(s.acceptance, drafts, verdict.matched);
    pace_step_.matched += verdict.matched;
    s.usage.drafted += drafts;
    s.usage.accepted += verdict.matched;
    stats_.drafted += static_cast<std::uint64_t>(drafts);
    stats_.accepted += static_cast<std::uint64_t>(verdict.matched);
  }
  // Only drafts that were right stay; the draw behind them is not computed yet.
  if (!pool_.truncate(s.state, computed + verdict.matched)) {
    return Error{Code::kInternal, "The cache could not take back drafted tokens."};
  }
  if (scheduler_.is_cut(s.id, s.state.length())) pool_.publish(s.state);
  if (!verdict.tokens.empty() && s.first_token == Deadline{}) s.first_token = options_.clock();
  for (std::size_t i = 0; i < verdict.tokens.size(); ++i) {
    Sampled& sampled = verdict.tokens[i];
    if (verdict.stopped && i + 1 == verdict.tokens.size()) {
      finish(s.id, FinishReason::kStop, std::nullopt, sampled.token);
      return {};
    }
    s.tokens.push_back(sampled.token);
    ++stats_.generated;
    s.mail->events.try_push(TokenEvent{sampled.token, sampled.logprob, std::move(sampled.top)});
  }
  scheduler_.commit(s.id, s.state.length(), static_cast<Pos>(s.tokens.size()));
  if (complete && s.generated() >= s.max_tokens) finish(s.id, FinishReason::kLength);
  return {};
}

void EngineCore::measure(const Step& step, double ms) {
  int rows = pace_step_.drafted, tokens = 0;
  for (const StepItem& item : step.items) (item.reads ? tokens : rows) += item.tokens;
  budget_.record(rows, tokens, ms);
  constexpr double kNew = 0.2;
  const auto blend = [](double& average, double now) {
    average = average == 0 ? now : (1 - kNew) * average + kNew * now;
  };
  blend(stats_.step_ms, ms);
  if (ms > 0) blend(stats_.tokens_per_s, (rows + tokens) * 1000.0 / ms);
}

Step EngineCore::plan() {
  plan_drafts();
  const int rows = scheduler_.writing_rows();
  scheduler_.set_prompt_tokens(rows > 0 ? budget_.beside(rows, scheduler_.unread()) : 0, budget_.alone());
  return scheduler_.plan();
}

Result<bool> EngineCore::step() {
  const Deadline begin = options_.clock();
  reap();
  const Step plan = this->plan();
  for (const SequenceId id : plan.refused) {
    const Sequence& s = at(id);
    finish(
        id, FinishReason::kFailed,
        Error{Code::kExhausted, "The cache has no room for a sequence of " +
                                    std::to_string(s.tokens.size()) + " tokens, not even alone."});
  }
  const Deadline start = options_.clock();
  const auto fatal = [&](const Error& error) {
    end_all(FinishReason::kFailed, error);
    return error;
  };
  if (plan.items.empty()) {
    if (!plan.refused.empty() || idle()) return false;
    return fatal({Code::kInternal, "The scheduler found nothing to run although requests wait."});
  }
  if (const Status drafted = draft(plan); !drafted) return fatal(drafted.error());
  const Deadline drafted = options_.clock();

  std::vector<BatchItem> batch;
  for (const StepItem& item : plan.items) {
    Sequence& s = at(item.id);
    if (!std::exchange(s.has_begun, true)) s.begun = start;
    const auto first = static_cast<std::size_t>(s.state.length());
    s.tokens.insert(s.tokens.end(), s.drafts.begin(), s.drafts.end());
    const std::size_t count = static_cast<std::size_t>(item.tokens) + s.drafts.size();
    const int scored = item.scored - (item.drafts - static_cast<int>(s.drafts.size()));
    batch.push_back({&s.state, std::span<const Token>(s.tokens).subspan(first, count), scored});
  }
  const Result<Mat<const float>> logits = model_.forward(batch);
  if (!logits) return fatal(logits.error());
  ++stats_.steps;
  int row = 0;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Mat<const float> rows = logits->slice(row, batch[i].scored);
    row += batch[i].scored;
    const Status settled = settle(plan.items[i], rows);
    if (settled) continue;
    // What this sequence published may be spoiled too.
    if (settled.error().code == Code::kInternal) pool_.forget_published();
    Error error = settled.error();
    error.message = "Request " + std::to_string(plan.items[i].id) + " failed: " + error.message;
    finish(plan.items[i].id, FinishReason::kFailed, std::move(error));
  }
  const Deadline end = options_.clock();
  measure(plan, ms_between(begin, end));
  pace_step_.draft_ms = ms_between(start, drafted);
  pace_step_.step_ms = ms_between(drafted, end);
  pace_.record_step(pace_step_);
  return true;
}

EngineStats EngineCore::stats() const {
  EngineStats stats = stats_;
  stats.running = scheduler_.running();
  stats.waiting = scheduler_.waiting();
  for (const auto& [id, s] : sequences_) {
    stats.parked_now += s->was_admitted && !scheduler_.is_running(id) ? 1 : 0;
  }
  stats.slots = options_.scheduler.max_sequences;
  stats.sessions = static_cast<int>(sessions_.size());
  stats.pool = pool_.stats();
  return stats;
}

}  // namespace plumb
