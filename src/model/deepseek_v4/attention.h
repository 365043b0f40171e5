// The attention sublayer (spec 2.4 to 2.7): window rows, compressed rows, and the choice among them.
#pragma once

#include "model/deepseek_v4/step.h"
#include "model/deepseek_v4/weights.h"

namespace plumb::deepseek_v4 {

// a.y (normed input, [t, d]) → a.f ([t, d]). Appends this step's rows to the sequences' state.
void attention(const Context& c, const StepView& step, const LayerWeights& layer,
               const LayerState& state, int layer_index, Activations& a);

// Norm, rotation and storage simulation of window rows, in place.
void finish_window_rows(const Context& c, const StepView& step, const LayerWeights& layer,
                        Mat<float> kv);

// The part of it that only fills the window ring: what the draft block needs of past tokens.
void window_rows(const Context& c, const StepView& step, const LayerWeights& layer, Activations& a);

}  // namespace plumb::deepseek_v4
