#include "model/deepseek_v4/state.h"

#include <algorithm>
#include <numeric>

namespace plumb::deepseek_v4 {
namespace {

constexpr int kPageTokens = 128;

int add_stream(StateMap& map, std::string name, int width, RowFormat format, int ratio) {
  const bool packed = format != kRowF32 && format != kRowBF16;
  map.layout.streams.push_back({std::move(name), static_cast<int>(row_bytes(format, width)), ratio,
                                packed ? row_format_name(format) : std::string()});
  map.formats.push_back(format);
  return static_cast<int>(map.layout.streams.size()) - 1;
}

int add_ring(StateLayout& layout, std::string name, int width, int keep, int keep_mod) {
  TailRing ring;
  ring.name = std::move(name);
  ring.bytes_per_row = width * static_cast<int>(sizeof(float));
  ring.keep = keep;
  ring.keep_mod = keep_mod;
  ring.capacity = keep + std::max(keep_mod - 1, 0) + layout.max_rewind;
  layout.tail.push_back(ring);
  return static_cast<int>(layout.tail.size()) - 1;
}

}  // namespace

StateMap map_state(const Config& config, const Numerics& numerics, int max_rewind, bool draft) {
  StateMap map;
  map.layout.max_rewind = max_rewind;
  int lcm = 1;
  for (const LayerConfig& layer : config.layers) lcm = std::lcm(lcm, std::max(layer.ratio, 1));
  map.layout.page_tokens = (kPageTokens + lcm - 1) / lcm * lcm;
  const RowFormat unpacked = numerics.round_bf16 ? kRowBF16 : kRowF32;
  const RowFormat kv = numerics.simulate_kv ? row_e4m3(config.rope_dim) : unpacked;
  const RowFormat key = numerics.simulate_index ? kRowE2M1 : unpacked;

  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    const std::string prefix = (i < 10 ? "L0" : "L") + std::to_string(i) + ".";
    LayerState state;
    state.window = add_ring(map.layout, prefix + "window", config.head_dim, config.window - 1, 0);
    if (layer.attention != AttentionKind::kWindow) {
      const bool overlap = layer.attention == AttentionKind::kSparse;
      const int halves = overlap ? 2 : 1;
      const int keep = overlap ? layer.ratio : 0;
      state.compressed =
          add_stream(map, prefix + "compressed", config.head_dim, kv, layer.ratio);
      state.raw = add_ring(map.layout, prefix + "raw", 2 * halves * config.head_dim, keep, layer.ratio);
      if (overlap) {
        state.index = add_stream(map, prefix + "index", config.index_dim, key, layer.ratio);
        state.index_raw =
            add_ring(map.layout, prefix + "index_raw", 4 * config.index_dim, keep, layer.ratio);
      }
    }
    map.layers.push_back(state);
  }
  if (draft) {
    map.draft.window = add_ring(map.layout, "draft.window", config.head_dim, config.window - 1, 0);
    map.draft_hidden = add_ring(map.layout, "draft.hidden", config.hc * config.dim, 1, 0);
  }
  return map;
}

}  // namespace plumb::deepseek_v4
