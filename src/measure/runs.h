// Reading prompts and decoding, timed beside probes of the machine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "cache/state_pool.h"
#include "measure/energy.h"
#include "measure/machine.h"
#include "model/language_model.h"

namespace plumb::measure {

// What the model's shapes say that a step costs.
struct CostModel {
  int layers = 0;
  // Weight bytes of a step of so many tokens whose layers met so many routed experts on average.
  std::function<double(int tokens, double experts_met)> weight_bytes;
  std::function<double(Pos at)> cache_bytes;  // of the token at that position
  std::function<double(bool scored)> weight_ops;
  std::function<double(Pos at)> cache_ops;
};

// What a run was for one repetition.
struct Attempt {
  double seconds = 0;
  Probe before, after;
  std::optional<double> joules;
  double rival = 0;  // its tokens per second, when there is one
  bool accepted = false;

  double read() const { return (before.read + after.read) / 2; }
  double ops() const { return (before.ops + after.ops) / 2; }
};

struct Series {
  std::vector<Attempt> attempts;

  int rejected() const;
  // Medians over the accepted repetitions; over all where none was accepted.
  double median_of(const std::function<double(const Attempt&)>& value) const;
  std::vector<double> values_of(const std::function<double(const Attempt&)>& value) const;
};

using Stages = std::vector<std::pair<std::string, double>>;  // seconds, in order of appearance

struct PrefillResult {
  int tokens = 0;
  Series series;
  double tok_s = 0;
  double ops = 0;                          // with weights, the head left out
  std::optional<double> fraction_of_peak;  // of int8, all threads
  Stages stages;
};

struct DecodeResult {
  Pos depth = 0;
  int batch = 1;
  int steps = 0;  // of one repetition
  Series series;
  double tok_s = 0;  // of the whole batch
  double bytes_per_token = 0;
  double experts_met = 0;  // routed experts per layer and step
  double kernel_rate = 0;  // operations per second of the experts alone at this batch
  double fraction_of_bandwidth = 0;
  double bound_tok_s = 0;
  double fraction_of_bound = 0;
  Stages stages;
};

struct RunOptions {
  int reps = 10;
  int steps = 16;  // decoded per repetition; at most the layout's max_rewind
  std::uint64_t seed = 1;
  bool probes = true;  // without them every repetition is accepted
  // Measures a rival beside every repetition of ours; tokens per second.
  std::function<Result<double>()> rival;
};

// Drives one model on one pool. Owned by one thread, as the model is.
class Runner {
 public:
  Runner(LanguageModel& model, StatePool& pool, Machine& machine, CostModel cost,
         RunOptions options);

  // kCancelled: Ctrl-C.
  Result<PrefillResult> prefill(int tokens);
  Result<DecodeResult> decode(Pos depth, int batch);

 private:
  Result<Series> repeat(const std::function<Result<double>()>& run);
  Result<double> read_prompt(int tokens);
  Result<std::vector<SequenceState>> sequences(Pos depth, int batch);
  Result<double> decode_steps(std::vector<SequenceState>& states, Pos depth);
  double kernel_rate(int tokens);
  Token token(std::uint64_t stream, Pos at) const;

  LanguageModel& model_;
  StatePool& pool_;
  Machine& machine_;
  CostModel cost_;
  RunOptions options_;
  EnergyMeter energy_;
};

}  // namespace plumb::measure
