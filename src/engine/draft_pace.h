// How many tokens to draft: as many as measured acceptance and measured costs say will pay.
#pragma once

#include <array>
#include <span>
#include <vector>

namespace plumb {

// How long something of size n = 1, 2, ... takes, learned from measurements. The machine's speed
// of the moment moves the whole curve at once, so that sizes measured long ago stay comparable.
// Thread-compatible.
class CostCurve {
 public:
  static constexpr int kFirst = 3;  // measurements that settle a size

  bool empty() const { return lowest_ == 0; }
  // ms; a size never measured is read between or beyond its neighbours. While nothing is measured,
  // relative to size 1.
  double at(int n) const;
  int measured(int n) const;      // how often
  void record(int n, double ms);  // ms <= 0 says nothing

 private:
  struct Point {
    double ms = 0;
    int count = 0;  // of measurements
    std::array<double, kFirst> first{};
  };
  std::vector<Point> points_;  // by n
  int lowest_ = 0;             // size measured; 0: none
};

// How often drafts are right, by their place in the step: the probability that a draft matches
// given that those before it did. Old trials count less. Thread-compatible.
class Acceptance {
 public:
  explicit Acceptance(int most);
  // `place` from 0. Few trials say little: then it is what `crowd` says, or without one a guess.
  double at(int place, const Acceptance* crowd) const;
  void record(int drafted, int matched, double memory);
  void age(double memory);

 private:
  struct Tally {
    double matches = 0;
    double trials = 0;
  };
  std::vector<Tally> places_;
};

// Chooses how many tokens to draft for every sequence of the coming step, so that the step as a
// whole yields the most tokens per second; none when that is fastest. Costs are learned by the
// number of tokens in a step (more tokens touch more experts) and of sequences in a draft round.
//
// What drafting saves and loses against plain steps is kept on an account. It grows by a small part
// of the running time, holds a few steps' worth at most, and pays for drafts that turn out wrong:
// so drafting never costs more than that part, whatever the estimates believe. While it does not
// pay, single drafts probe whether it would by now, ever more rarely.
//
// Reads no clock: the engine reports durations. Has no influence on answers. Thread-compatible.
class DraftPace {
 public:
  explicit DraftPace(int most) : crowd_(most) {}

  // A sequence about to write one token.
  struct Writer {
    Acceptance* acceptance = nullptr;
    int most = 0;  // drafts it may have; 0: none
  };
  // Drafts for every writer.
  std::vector<int> choose(std::span<const Writer> writers);

  // What a sequence's drafts came to.
  void record_drafts(Acceptance& own, int drafted, int matched);

  struct Step {
    int writers = 0;              // sequences that wrote
    int drafted = 0;              // tokens the step verified beside theirs
    int matched = 0;              // of those
    std::span<const int> rounds;  // sequences in each round of the draft call
    double draft_ms = 0;          // of the draft call
    double step_ms = 0;           // of everything else
    bool reads = false;           // prompts were read beside: step_ms says nothing about writing
  };
  void record_step(const Step& step);

 private:
  double draft_cost(std::span<const int> rounds) const;
  void learn_rounds(std::span<const int> rounds, double ms);
  std::vector<int> probe(std::span<const Writer> writers);

  CostCurve step_;        // by tokens
  CostCurve round_;       // by sequences
  Acceptance crowd_;      // of all sequences: what a new one starts from
  double account_ = 0;    // ms
  bool opened_ = false;   // a plain step was timed
  bool probing_ = false;  // the step under way is a probe
  int probe_gap_ = 0;     // steps between probes
  int since_probe_ = 0, since_plain_ = 0;
};

}  // namespace plumb
