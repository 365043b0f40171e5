// One layer: mix in, attend, mix out, mix in, feed forward, mix out.
#pragma once

#include "model/deepseek_v4/step.h"
#include "model/deepseek_v4/weights.h"

namespace plumb::deepseek_v4 {

// a.streams → a.streams for all tokens of the step; appends rows to the sequences' state.
void block(const Context& c, const StepView& step, const LayerWeights& layer, const LayerState& state,
           int layer_index, Activations& a);

// The first third of it: a.streams → a.y, mixed and normed for the attention.
void mix_and_norm(const Context& c, const HyperWeights& hc, const float* gain, int t, Activations& a);

// a.y → a.f: routing, then the experts (spec 2.8).
void feed_forward(const Context& c, const StepView& step, const FfnWeights& w, int layer_index,
                  Activations& a);

// a.streams rows of `streams` → out: the streams collapsed to one (spec 2.2), then normed.
void head_input(const Context& c, const HyperWeights& hc, const float* gain, Mat<const float> streams,
                Mat<float> out);

}  // namespace plumb::deepseek_v4
