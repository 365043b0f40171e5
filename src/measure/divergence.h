// How far the chosen numerics are from the plain ones.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "cache/state_pool.h"
#include "model/language_model.h"

namespace plumb::measure {

// Kullback-Leibler divergence of softmax(q) from softmax(p), in nats: sum p log(p / q). Logits of
// the same length. NaN when either holds one.
double divergence(std::span<const float> p, std::span<const float> q);

struct Divergence {
  int positions = 0;
  double mean = 0, largest = 0;
  double same_top = 0;  // share of positions whose most likely token is the same
};

struct Comparison {
  Divergence free;    // each model goes its own way
  Divergence routed;  // the second sends every token to the experts that the first one chose
};

// Both models read the same random tokens; every position counts. The first has room for
// `positions` in its pool, the second for two sequences of them. Both lose their taps. `progress`
// hears how many are done; false: stop (kCancelled).
Result<Comparison> compare_logits(LanguageModel& plain, StatePool& plain_pool, LanguageModel& other,
                                  StatePool& other_pool, int positions, std::uint64_t seed,
                                  const std::function<bool(int done)>& progress);

}  // namespace plumb::measure
