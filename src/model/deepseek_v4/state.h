// Where a sequence's memory lies: row streams and tail rings of every layer.
#pragma once

#include <vector>

#include "cache/state_layout.h"
#include "model/deepseek_v4/config.h"
#include "tensor/numerics.h"
#include "tensor/row_format.h"

namespace plumb::deepseek_v4 {

// Indices into StateLayout::streams and ::tail; -1: the layer has none.
struct LayerState {
  int compressed = -1, index = -1;                // streams
  int window = -1, raw = -1, index_raw = -1;      // rings
};

struct StateMap {
  StateLayout layout;
  std::vector<RowFormat> formats;  // of layout.streams
  std::vector<LayerState> layers;
  LayerState draft;
  int draft_hidden = -1;  // ring of the trunk's streams that await their next token
};

// `max_rewind` tokens can be taken back; `draft`: also keep what the draft block needs.
// Rows are packed where the numerics simulate packing, so nothing is lost: `simulate_kv`, E4M3 and
// bfloat16; `simulate_index`, E2M1. Else fp32, or bfloat16 where everything is rounded to that.
StateMap map_state(const Config& config, const Numerics& numerics, int max_rewind, bool draft);

}  // namespace plumb::deepseek_v4
