#include "model/deepseek_v4/traffic.h"

#include <algorithm>

namespace plumb::deepseek_v4 {
namespace {

// Rows of one layer that the token at position `at` looks at.
struct RowsMet {
  double window = 0, compressed = 0, keys = 0;
};

RowsMet rows_met(const Config& c, const LayerConfig& layer, Pos at) {
  RowsMet met;
  met.window = static_cast<double>(std::min<Pos>(at + 1, c.window));
  if (!layer.compressed()) return met;
  const Pos visible = (at + 1) / layer.ratio;
  met.compressed =
      static_cast<double>(layer.indexed() ? std::min<Pos>(visible, c.index_top_k) : visible);
  if (layer.indexed()) met.keys = static_cast<double>(visible);
  return met;
}

}  // namespace

double weight_bytes_read(const Totals& totals, const Config& config, int tokens,
                         double experts_met) {
  return static_cast<double>(totals.step_bytes) +
         static_cast<double>(config.layers.size()) * experts_met *
             static_cast<double>(totals.expert_bytes) +
         tokens * static_cast<double>(totals.lookup_bytes);
}

double cache_bytes_read(const Config& config, const StateMap& map, Pos at) {
  double bytes = 0;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const RowsMet met = rows_met(config, config.layers[i], at);
    const LayerState& s = map.layers[i];
    bytes += met.window * map.layout.tail[static_cast<std::size_t>(s.window)].bytes_per_row;
    const auto row = [&](int stream) {
      return stream < 0 ? 0 : map.layout.streams[static_cast<std::size_t>(stream)].bytes_per_row;
    };
    bytes += met.compressed * row(s.compressed) + met.keys * row(s.index);
  }
  return bytes;
}

double weight_ops(const Totals& totals, bool scored) {
  const auto head = totals.parts[static_cast<std::size_t>(Part::kHead)].parameters;
  return 2.0 * static_cast<double>(totals.active_parameters - (scored ? 0 : head));
}

double cache_ops(const Config& config, Pos at) {
  double ops = 0;
  for (const LayerConfig& layer : config.layers) {
    const RowsMet met = rows_met(config, layer, at);
    // Scores and the weighted sum, both with rows of head_dim.
    ops += 4.0 * config.heads * config.head_dim * (met.window + met.compressed);
    ops += 2.0 * config.index_heads * config.index_dim * met.keys;
  }
  return ops;
}

}  // namespace plumb::deepseek_v4
