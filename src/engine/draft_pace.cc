#include "engine/draft_pace.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/check.h"

namespace plumb {
namespace {

// Of a cost curve. Until measured, each further token is taken to cost kSlope of the first; beyond
// the largest size measured, kBend of the mean slope up to there (experts repeat, so costs bend).
constexpr double kSlope = 0.25;
constexpr double kBend = 0.85;
// A measurement moves the whole curve by kCommon of its deviation and its own size by kOwn more. A
// single one counts as little off at most: the system may have taken the core away.
constexpr double kCommon = 0.2;
constexpr double kOwn = 0.05;
constexpr double kLeastRatio = 0.8, kMostRatio = 1.25;
// The first kFirst of a size count by their median; before there are as many, by the least and as
// no more than kMostOfGuess of what was guessed: so an outlier does not bar a size for good.
constexpr int kFirst = CostCurve::kFirst;
constexpr double kMostOfGuess = 1.25;

// Of acceptance. Where nothing is known, drafts are guessed to be right this often; that guess, and
// for a sequence what the others' drafts came to, counts as much as kPriorTrials trials.
constexpr double kGuess = 0.7;
constexpr double kPriorTrials = 4;
constexpr double kOwnMemory = 0.96;    // per trial
constexpr double kCrowdMemory = 0.99;  // per trial
constexpr double kStepMemory = 0.99;   // per step: texts change

// Of the pace.
constexpr double kRoundGuess = 0.1;  // of a step with as many tokens
constexpr double kMargin = 1.02;     // drafting has to promise this much
constexpr double kBudget = 0.008;    // of the time, for drafts that do not pay
constexpr double kOpening = 3;       // plain steps' worth on a new account, for learning
constexpr double kMostSaved = 4;     // plain steps' worth it can hold
// While drafting pays, a plain step now and then keeps their cost known: too high a cost would make
// drafts look good for ever. It forgoes what drafting gains, so the less that is, the more often.
constexpr double kForgone = 0.005;                           // of the time
constexpr int kMostPlainGap = 128;                           // steps
constexpr int kShortGap = 2, kFirstGap = 8, kLongGap = 256;  // steps between probes
constexpr double kHopeless = 0.02;  // a draft this unlikely to count is not considered

double guessed_shape(int n) { return 1 + kSlope * (n - 1); }

}  // namespace

double CostCurve::at(int n) const {
  PLUMB_CHECK(n >= 1);
  if (empty()) return guessed_shape(n);
  const int size = static_cast<int>(points_.size());
  const auto ms = [&](int i) { return points_[static_cast<std::size_t>(i)].ms; };
  const auto known = [&](int i) { return points_[static_cast<std::size_t>(i)].count > 0; };
  if (n <= lowest_) return ms(lowest_) * guessed_shape(n) / guessed_shape(lowest_);
  int below = std::min(n, size - 1), above = n;
  while (!known(below)) --below;
  while (above < size && !known(above)) ++above;
  if (below == n) return ms(n);
  if (above < size) {
    return ms(below) + (ms(above) - ms(below)) * (n - below) / (above - below);
  }
  if (below == lowest_) return ms(below) * guessed_shape(n) / guessed_shape(below);
  const double slope = (ms(below) - ms(lowest_)) / (below - lowest_);
  return ms(below) + kBend * std::max(slope, 0.0) * (n - below);
}

int CostCurve::measured(int n) const {
  const auto index = static_cast<std::size_t>(n);
  return index < points_.size() ? points_[index].count : 0;
}

void CostCurve::record(int n, double ms) {
  PLUMB_CHECK(n >= 1);
  if (!(ms > 0)) return;
  const auto index = static_cast<std::size_t>(n);
  const double most = empty() ? ms : kMostOfGuess * at(n);
  if (points_.size() <= index) points_.resize(index + 1);
  Point& point = points_[index];
  if (point.count < kFirst) {
    point.first[static_cast<std::size_t>(point.count)] = ms;
    if (point.count + 1 == kFirst) {
      std::sort(point.first.begin(), point.first.end());
      point.ms = point.first[kFirst / 2];
    } else {
      point.ms = std::min(ms, point.count == 0 ? most : point.ms);
    }
    lowest_ = lowest_ == 0 ? n : std::min(lowest_, n);
  } else {
    const double deviation = std::clamp(ms / point.ms, kLeastRatio, kMostRatio) - 1;
    for (Point& p : points_) p.ms *= 1 + kCommon * deviation;
    point.ms *= 1 + std::max(kOwn, 1.0 / (point.count + 1)) * deviation;
  }
  point.count = std::min(point.count + 1, 1'000'000);
}

Acceptance::Acceptance(int most) : places_(static_cast<std::size_t>(std::max(most, 0))) {}

double Acceptance::at(int place, const Acceptance* crowd) const {
  PLUMB_CHECK(place >= 0 && static_cast<std::size_t>(place) < places_.size());
  const Tally& tally = places_[static_cast<std::size_t>(place)];
  const double prior =
      crowd ? crowd->at(place, nullptr) : (place == 0 ? kGuess : at(place - 1, nullptr));
  return (tally.matches + kPriorTrials * prior) / (tally.trials + kPriorTrials);
}

void Acceptance::record(int drafted, int matched, double memory) {
  PLUMB_CHECK(matched <= drafted && static_cast<std::size_t>(drafted) <= places_.size());
  for (int place = 0; place < std::min(drafted, matched + 1); ++place) {
    Tally& tally = places_[static_cast<std::size_t>(place)];
    tally.trials = tally.trials * memory + 1;
    tally.matches = tally.matches * memory + (place < matched ? 1 : 0);
  }
}

void Acceptance::age(double memory) {
  for (Tally& tally : places_) {
    tally.trials *= memory;
    tally.matches *= memory;
  }
}

double DraftPace::draft_cost(std::span<const int> rounds) const {
  double cost = 0;
  for (const int sequences : rounds) {
    cost += round_.empty() ? kRoundGuess * step_.at(sequences) : round_.at(sequences);
  }
  return cost;
}

// One draft for the sequence that has the best hope, if it is time and the account can bear it.
std::vector<int> DraftPace::probe(std::span<const Writer> writers) {
  std::vector<int> drafts(writers.size(), 0);
  if (probe_gap_ == 0) probe_gap_ = kFirstGap;
  if (since_probe_ < probe_gap_) return drafts;
  const int n = static_cast<int>(writers.size()), one = 1;
  if (step_.at(n + 1) - step_.at(n) + draft_cost({&one, 1}) > account_) return drafts;
  std::size_t best = writers.size();
  double hope = -1;
  for (std::size_t i = 0; i < writers.size(); ++i) {
    if (writers[i].most == 0) continue;
    const double now = writers[i].acceptance->at(0, &crowd_);
    if (now <= hope) continue;
    hope = now;
    best = i;
  }
  if (best == writers.size()) return drafts;
  drafts[best] = 1;
  probing_ = true;
  since_probe_ = 0;
  return drafts;
}

std::vector<int> DraftPace::choose(std::span<const Writer> writers) {
  const int plain = static_cast<int>(writers.size());
  std::vector<int> drafts(writers.size(), 0), best = drafts;
  probing_ = false;
  for (const Writer& w : writers) w.acceptance->age(kStepMemory);
  ++since_probe_;
  ++since_plain_;
  // The first steps of a batch size show what they cost without drafts.
  if (plain == 0 || step_.measured(plain) < kFirst) return best;
  const double plain_rate = plain / step_.at(plain);
  double best_rate = kMargin * plain_rate;
  double expected = plain;
  std::vector<double> counts(writers.size(), 0);  // probability that the next draft would count
  for (std::size_t i = 0; i < writers.size(); ++i) {
    if (writers[i].most > 0) counts[i] = writers[i].acceptance->at(0, &crowd_);
  }
  // A sequence's drafts are ever less likely to count, so taking the likeliest next draft of all is
  // the best way to spend any number of them.
  std::vector<int> rounds;
  for (int total = 1;; ++total) {
    const auto at = std::max_element(counts.begin(), counts.end());
    const auto i = static_cast<std::size_t>(at - counts.begin());
    if (*at < kHopeless) break;
    expected += *at;
    const auto round = static_cast<std::size_t>(drafts[i]++);
    if (rounds.size() <= round) rounds.push_back(0);
    ++rounds[round];
    *at *= drafts[i] < writers[i].most ? writers[i].acceptance->at(drafts[i], &crowd_) : 0;
    const double rate = expected / (step_.at(plain + total) + draft_cost(rounds));
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = drafts;
  }
  const bool pays = std::any_of(best.begin(), best.end(), [](int n) { return n > 0; });
  if (!pays) return probe(writers);
  const double plain_gap = std::min<double>((best_rate / plain_rate - 1) / kForgone, kMostPlainGap);
  if (account_ < 0 || since_plain_ > plain_gap) return std::vector<int>(writers.size(), 0);
  return best;
}

void DraftPace::record_drafts(Acceptance& own, int drafted, int matched) {
  own.record(drafted, matched, kOwnMemory);
  crowd_.record(drafted, matched, kCrowdMemory);
  if (!probing_ || drafted == 0) return;
  probe_gap_ = matched > 0 ? kShortGap : std::min(2 * probe_gap_, kLongGap);
}

// One time for all rounds: each gets its share as the curve has it.
void DraftPace::learn_rounds(std::span<const int> rounds, double ms) {
  const double expected = draft_cost(rounds);
  std::vector<std::pair<int, double>> shares;
  for (const int sequences : rounds) {
    if (!shares.empty() && shares.back().first == sequences) continue;
    shares.emplace_back(sequences, ms * draft_cost({&sequences, 1}) / expected);
  }
  // A round that takes a step's time never pays; the very first may be an outlier.
  for (const auto& [sequences, share] : shares) {
    round_.record(sequences, step_.empty() ? share : std::min(share, step_.at(sequences)));
  }
}

void DraftPace::record_step(const Step& s) {
  learn_rounds(s.rounds, s.draft_ms);
  // Before a plain step was timed there is nothing to compare with.
  if (s.writers == 0 || (s.reads && !opened_)) return;
  const int tokens = s.writers + s.drafted;
  if (!s.reads) step_.record(tokens, s.step_ms);
  if (s.drafted == 0) since_plain_ = 0;
  // The curves, not this step's own times: an outlier is nobody's loss.
  const double plain = step_.at(s.writers);
  const double cost = step_.at(tokens) + draft_cost(s.rounds);
  if (!opened_) account_ = kOpening * plain;
  opened_ = true;
  account_ += kBudget * cost + s.matched * plain / s.writers - (cost - plain);
  account_ = std::min(account_, kMostSaved * plain);
}

}  // namespace plumb
