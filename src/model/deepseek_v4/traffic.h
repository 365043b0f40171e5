// What a step reads and computes, counted from shapes: the measure of how fast it could be.
#pragma once

#include <cstdint>

#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/inventory.h"
#include "model/deepseek_v4/state.h"

namespace plumb::deepseek_v4 {

// Weight bytes that a step of `tokens` tokens reads: all of the trunk once, per layer as many
// routed experts as its tokens chose together (`experts_met`, the mean over layers), look-ups per
// token.
double weight_bytes_read(const Totals& totals, const Config& config, int tokens,
                         double experts_met);

// Bytes of rows that the token at position `at` reads of the trunk's memory: the window, every row
// of heavy layers, the indexer's keys and the chosen rows of sparse ones.
double cache_bytes_read(const Config& config, const StateMap& map, Pos at);

// Multiplications and additions of the token at position `at`: with weights (the head's when it is
// scored), and with cached rows.
double weight_ops(const Totals& totals, bool scored);
double cache_ops(const Config& config, Pos at);

}  // namespace plumb::deepseek_v4
