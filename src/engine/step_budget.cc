#include "engine/step_budget.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"

namespace plumb {
namespace {

// Of a size, the least of the first kFirst measurements counts: the system may have taken the core
// away. The next ones, up to kSettled, move only that size. Then all sizes move at once, as far as
// the filter says, and the measured one by kOwn more.
constexpr int kFirst = 3;
constexpr int kSettled = 16;
constexpr double kOwnFirst = 0.25;
constexpr double kOwn = 0.15;

// Standard deviations of logarithms: of a measurement, of what was measured for the first time, of
// changes from step to step. Beyond kLikely a measurement counts less.
constexpr double kNoise = 0.2;
constexpr double kFirstNoise = 0.1;
constexpr double kLikely = 0.35;
constexpr double kSpeedDrift = 0.03;
constexpr double kOwnDrift = 0.02;
constexpr double kMostUncertain = 0.5;  // or else an outlier could move it at will

// Of the time of a step that only writes: what reading alone does in it is read beside writers.
constexpr double kShare = StepBudget::kMostGap / StepBudget::kMostWait;
// Steps with prompts between two that only write, once that was measured often and before.
constexpr int kPlainGap = 16, kFirstPlainGap = 3;
constexpr double kLeastShare = 0.49;  // of a step's time, for prompts; a bit goes to plain steps
constexpr double kLeastRead = 0.1;    // of a step with prompts, whatever was expected
constexpr double kLeastMs = 1e-3;     // a clock may stand still

double square(double x) { return x * x; }

}  // namespace

const SizeCurve::Point& SizeCurve::nearest(int index) const {
  const Point* best = nullptr;
  int distance = kPoints;
  for (int i = 0; i < kPoints; ++i) {
    const Point& point = points_[static_cast<std::size_t>(i)];
    if (point.count == 0 || std::abs(i - index) >= distance) continue;
    distance = std::abs(i - index);
    best = &point;
  }
  PLUMB_CHECK(best != nullptr);
  return *best;
}

double SizeCurve::at(double n) const {
  PLUMB_CHECK(n >= 1);
  const double x = std::min(std::log2(n), kPoints - 1.0);
  const int low = static_cast<int>(x);
  const double a = nearest(low).value;
  const double b = nearest(std::min(low + 1, kPoints - 1)).value;
  return a + (b - a) * (x - low);
}

bool SizeCurve::settled(double n) const {
  const auto index = static_cast<std::size_t>(std::lround(std::log2(n)));
  return index < points_.size() && points_[index].count >= kSettled;
}

void SizeCurve::learn(Point& point, double value, double weight, double change) {
  if (point.count < kFirst) {
    if (weight < 0.5) return;
    point.value = point.count == 0 ? value : std::min(point.value, value);
    known_ += point.count == 0 ? 1 : 0;
  } else {
    point.value *= std::exp(weight * change);
  }
  point.count = std::min(point.count + 1, kSettled);
}

void SizeCurve::record(double n, double value, double change) {
  PLUMB_CHECK(n >= 1 && value > 0);
  const double x = std::min(std::log2(n), kPoints - 1.0);
  const auto low = static_cast<std::size_t>(x);
  const double high = x - static_cast<double>(low);
  learn(points_[low], value, 1 - high, change);
  if (high > 0) learn(points_[low + 1], value, high, change);
}

void SizeCurve::scale(double factor) {
  for (Point& point : points_) point.value *= factor;
}

void CostFilter::learn(Cost cost) {
  for (std::size_t other = 0; other < kCosts; ++other) {
    covariance_[cost][other] = covariance_[other][cost] = 0;
  }
  covariance_[cost][cost] = square(kFirstNoise);
}

void CostFilter::drift() {
  for (std::size_t i = 0; i < kCosts; ++i) {
    for (std::size_t j = 0; j < kCosts; ++j) {
      covariance_[i][j] += square(kSpeedDrift) + (i == j ? square(kOwnDrift) : 0);
    }
  }
  for (std::size_t i = 0; i < kCosts; ++i) {
    const double factor = std::min(1.0, kMostUncertain / std::sqrt(covariance_[i][i]));
    for (std::size_t j = 0; j < kCosts; ++j) {
      covariance_[i][j] *= factor;
      covariance_[j][i] *= factor;
    }
  }
}

CostFilter::Costs CostFilter::correct(const Costs& parts, double error) {
  Costs with{};  // covariance of each cost with the step's
  double total = square(kNoise) * std::max(1.0, std::abs(error) / kLikely);
  for (std::size_t i = 0; i < kCosts; ++i) {
    for (std::size_t j = 0; j < kCosts; ++j) with[i] += covariance_[i][j] * parts[j];
    total += parts[i] * with[i];
  }
  Costs off{};
  for (std::size_t i = 0; i < kCosts; ++i) {
    off[i] = with[i] / total * error;
    for (std::size_t j = 0; j < kCosts; ++j) covariance_[i][j] -= with[i] * with[j] / total;
  }
  return off;
}

int StepBudget::alone() const {
  if (longest_ms_ <= 0) return most_;
  if (alone_.empty()) return std::min(least_, most_);
  const double tokens = longest_ms_ / alone_.at(1);
  return static_cast<int>(std::clamp<double>(tokens, std::min(least_, most_), most_));
}

int StepBudget::beside(int rows, int prompts) const {
  PLUMB_CHECK(rows > 0);
  if (longest_ms_ <= 0) return most_;
  const int gap = plain_.settled(rows) ? kPlainGap : kFirstPlainGap;
  if (plain_.empty() || since_plain_ >= gap) return 0;
  const double plain = plain_.at(rows);
  const double longest = std::max(longest_ms_ - plain, kLeastShare / (1 - kLeastShare) * plain);
  const double share = kShare * std::sqrt(std::max(prompts, 1));
  double tokens = rows;  // a prompt's token costs no more than one that is written
  if (!alone_.empty()) tokens = share * plain / alone_.at(1);
  if (!beside_.empty()) {
    // Read alone a token costs no more than beside others; how much less was learned some time ago.
    tokens = std::max(most_beside(share * plain), alone_.empty() ? 1 : tokens);
    tokens = std::min(tokens, most_beside(longest));
  }
  return static_cast<int>(std::clamp<double>(std::round(tokens), 1, most_));
}

// As many prompt tokens as take `ms` beside writers, at what so many cost.
double StepBudget::most_beside(double ms) const {
  double low = 1, low_ms = beside_.at(1);
  for (; low < most_; low *= 2) {
    const double high_ms = 2 * low * beside_.at(2 * low);
    if (low_ms >= ms) return low;
    if (high_ms > ms) return low * (1 + (ms - low_ms) / (high_ms - low_ms));
    low_ms = high_ms;
  }
  return low;
}

// ms of such a step; 0: nothing is known about it.
double StepBudget::expected(int rows, int tokens) const {
  if (rows == 0) return alone_.empty() ? 0 : tokens * alone_.at(1);
  if (plain_.empty() || (tokens > 0 && beside_.empty())) return 0;
  return plain_.at(rows) + (tokens > 0 ? tokens * beside_.at(tokens) : 0);
}

bool StepBudget::settled(int rows, int tokens) const {
  if (rows == 0) return alone_.settled(1);
  return plain_.settled(rows) && (tokens == 0 || beside_.settled(tokens));
}

// Moves all costs; returns by how much more that of the step's own size shall move.
double StepBudget::correct(int rows, int tokens, double error) {
  const double plain = rows > 0 ? plain_.at(rows) / expected(rows, tokens) : 0;
  const CostFilter::Costs off =
      filter_.correct({plain, rows > 0 ? 1 - plain : 0, rows > 0 ? 0.0 : 1.0}, error);
  plain_.scale(std::exp(off[CostFilter::kPlain]));
  beside_.scale(std::exp(off[CostFilter::kBeside]));
  alone_.scale(std::exp(off[CostFilter::kAlone]));
  return kOwn * off[tokens > 0 ? CostFilter::kBeside : CostFilter::kPlain];
}

void StepBudget::learn(int rows, int tokens, double ms, double change) {
  const auto record = [&](SizeCurve& curve, CostFilter::Cost cost, int size, double value) {
    if (curve.empty()) filter_.learn(cost);
    curve.record(size, value, change);
  };
  if (tokens == 0) {
    record(plain_, CostFilter::kPlain, rows, ms);
  } else if (rows == 0) {
    record(alone_, CostFilter::kAlone, 1, ms / tokens);
  } else {
    const double read_ms = std::max(ms - plain_.at(rows), kLeastRead * ms);
    record(beside_, CostFilter::kBeside, tokens, read_ms / tokens);
  }
}

void StepBudget::record(int rows, int tokens, double ms) {
  PLUMB_CHECK(rows >= 0 && tokens >= 0 && rows + tokens > 0);
  ms = std::max(ms, kLeastMs);
  since_plain_ = tokens == 0 ? 0 : std::min(since_plain_ + 1, kPlainGap);
  if (rows == 0 && tokens < least_) return;              // mostly what a pass costs at all
  if (rows > 0 && tokens > 0 && plain_.empty()) return;  // nobody knows what of it was reading
  filter_.drift();
  const double before = expected(rows, tokens);
  const double error = before > 0 ? std::log(ms / before) : 0;
  const double change = settled(rows, tokens) ? correct(rows, tokens, error)
                                              : kOwnFirst * std::clamp(error, -kLikely, kLikely);
  learn(rows, tokens, ms, change);
}

}  // namespace plumb
