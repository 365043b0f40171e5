// How many prompt tokens a step takes: what is fair to those who write and to those who wait.
#pragma once

#include <array>
#include <cstddef>

namespace plumb {

// Something that changes slowly with a size n = 1, 2, ..., learned at powers of two from
// measurements and read between them. Thread-compatible.
class SizeCurve {
 public:
  bool empty() const { return known_ == 0; }
  // Beyond what was measured, the nearest that was. Not to be called while empty.
  double at(double n) const;
  // Whether sizes like this one were measured often enough.
  bool settled(double n) const;
  // Of the first few measurements of a size the least counts; later ones change it by a factor of
  // e^change.
  void record(double n, double value, double change);
  void scale(double factor);

 private:
  static constexpr int kPoints = 24;
  struct Point {
    double value = 0;
    int count = 0;  // of measurements
  };
  const Point& nearest(int index) const;
  void learn(Point& point, double value, double weight, double change);

  std::array<Point, kPoints> points_;  // of sizes 1, 2, 4, ...
  int known_ = 0;                      // points measured
};

// By how much each of several costs, as known by now, may be off, and what a measurement says about
// all of them: the machine's speed moves them alike, and each moves a little by itself. A Kalman
// filter over logarithms whose state is kept elsewhere. Thread-compatible.
class CostFilter {
 public:
  enum Cost : std::size_t { kPlain, kBeside, kAlone };
  static constexpr std::size_t kCosts = 3;
  using Costs = std::array<double, kCosts>;

  // The cost was measured for the first time.
  void learn(Cost cost);
  // A step passed.
  void drift();
  // A step of which the costs made up these parts took e^error times as long as expected. Returns
  // by how much the logarithm of each was off. What is unlikely counts less: outliers happen.
  Costs correct(const Costs& parts, double error);

 private:
  std::array<Costs, kCosts> covariance_{};
};

// Chooses the prompt tokens of the coming step from what steps cost, which it learns.
//
// While somebody writes, two promises are at odds: tokens shall come at most kMostGap times as far
// apart as without prompts, and a prompt shall take at most kMostWait times as long as alone. More
// tokens per step break the first, fewer the second. So a step reads what reading alone would
// manage in kMostGap / kMostWait of the time of a step that only writes. Both promises are kept
// then, or, where being read beside others is costly in itself, both are missed by about the same
// factor.
//
// Where n prompts wait for each other, a longer step delays each of those who write once and brings
// n forward, and what that weighs is least when steps are sqrt(n) times as long.
//
// While nobody writes, a step takes about `longest_ms`, so that newcomers and cancellations are
// heard. Beside writers it is an upper bound too, as long as reading keeps about half of the time.
//
// Reads no clock: the engine reports durations. Has no influence on answers. Thread-compatible.
class StepBudget {
 public:
  static constexpr double kMostGap = 3;
  static constexpr double kMostWait = 2.5;

  // A step reads at most `most` tokens, and at least `least` when nobody writes. longest_ms <= 0:
  // time does not count.
  StepBudget(double longest_ms, int least, int most)
      : longest_ms_(longest_ms), least_(least), most_(most) {}

  // Prompt tokens of the next step beside `rows` > 0 that are written, when so many prompts are not
  // read yet; 0: it should only write, to show what that costs by now.
  int beside(int rows, int prompts = 1) const;
  int alone() const;

  // What a step cost: rows written (drafts included), tokens of prompts.
  void record(int rows, int tokens, double ms);

 private:
  double most_beside(double ms) const;
  double expected(int rows, int tokens) const;
  bool settled(int rows, int tokens) const;
  double correct(int rows, int tokens, double error);
  void learn(int rows, int tokens, double ms, double change);

  double longest_ms_;
  int least_, most_;
  SizeCurve plain_;   // ms of a step that only writes, by rows
  SizeCurve beside_;  // ms that each of so many prompt tokens adds to it
  SizeCurve alone_;   // ms of a prompt token when nobody writes; one size, 1
  CostFilter filter_;
  int since_plain_ = 0;
};

}  // namespace plumb
