// Which compressed rows a step finishes, and their making (spec 2.5).
#pragma once

#include <vector>

#include "model/deepseek_v4/step.h"
#include "model/deepseek_v4/weights.h"

namespace plumb::deepseek_v4 {

// What distinguishes the attention's compressor from the indexer's.
struct CompressorPlace {
  int raw_ring = -1;     // last raw rows
  int stream = -1;       // finished rows
  bool for_index = false;
};

// Raw rows of a.y into `raw`, entries whose last token is in this step into their pages, then `raw`
// into its ring.
void compress_step(const Context& c, const StepView& step, const LayerWeights& layer,
                   const CompressorWeights& w, const CompressorPlace& place, Mat<float> raw,
                   Activations& a);

// Finished entries (before their norm) into their pages: entry i becomes row index[i] of item
// sequence[i], turned by position[i], its group's first token. `entry` is worked on in place.
struct EntryPlaces {
  std::vector<std::int32_t> sequence;
  std::vector<std::int64_t> index, position;
};
void store_entries(const Context& c, const StepView& step, const LayerWeights& layer,
                   const CompressorWeights& w, const CompressorPlace& place,
                   const EntryPlaces& places, Mat<float> entry);

// Rows 0 .. n-1 may be seen from position p (spec 2.6), for every token of the step.
std::vector<std::int64_t> visible_rows(const StepView& step, int ratio);

}  // namespace plumb::deepseek_v4
