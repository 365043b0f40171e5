#include "model/deepseek_v4/block.h"

#include <numeric>
#include <vector>

#include "model/deepseek_v4/attention.h"

namespace plumb::deepseek_v4 {
namespace {

void mix_out(const Context& c, int t, Activations& a) {
  c.stage("mhc");
  HyperPostArgs args;
  args.f = a.f.slice(0, t);
  args.streams = a.streams.slice(0, t);
  args.post = a.post.slice(0, t);
  args.comb = a.comb.slice(0, t);
  args.hc = c.config.hc;
  args.round_bf16 = c.numerics.round_bf16;
  args.out = a.streams.slice(0, t);
  c.k.hyper_post(args);
}

}  // namespace

void feed_forward(const Context& c, const StepView& step, const FfnWeights& w, int layer_index,
                  Activations& a) {
  const int t = step.size();
  c.stage("router");
  RouteArgs route;
  route.x = a.y.slice(0, t);
  route.gate = w.gate;
  route.bias = w.bias;
  route.table = w.table;
  route.tokens = step.tokens.data();
  std::vector<Token> rows;  // of the experts that somebody else chose
  if (c.tap && c.tap->experts) {
    const std::span<const std::int64_t> chosen = c.tap->experts(layer_index);
    if (!chosen.empty()) {
      rows.resize(static_cast<std::size_t>(t));
      std::iota(rows.begin(), rows.end(), 0);
      route.table = chosen.data();
      route.tokens = rows.data();
    }
  }
  route.k = c.config.experts_per_token;
  route.route_scale = c.config.route_scale;
  route.expert = a.expert.slice(0, t);
  route.weight = a.expert_weight.slice(0, t);
  c.k.route(route);
  if (c.tap && c.tap->ids) c.tap->ids("experts", layer_index, route.expert, {});

  c.stage("experts");
  MoeArgs moe;
  moe.x = a.y.slice(0, t);
  moe.expert = route.expert;
  moe.weight = route.weight;
  moe.experts = w.experts;
  moe.shared = w.shared;
  moe.clamp = c.config.swiglu_limit;
  moe.k_block_up = k_block(c, w.experts.front().w1);
  moe.k_block_down = k_block(c, w.experts.front().w2);
  moe.k_block_shared = k_block(c, w.shared.w1);
  moe.quantise_inputs =
      c.numerics.quantise_inputs && w.experts.front().w1.format.scale != ScaleType::kNone;
  moe.round_bf16 = c.numerics.round_bf16;
  moe.fast = c.numerics.fast_products;
  moe.out = a.f.slice(0, t);
  c.k.moe(moe);
}

void mix_and_norm(const Context& c, const HyperWeights& hc, const float* gain, int t, Activations& a) {
  c.stage("mhc");
  HyperPreArgs args;
  args.streams = a.streams.slice(0, t);
  args.fn = hc.fn;
  args.base = hc.base;
  args.scale = hc.scale;
  args.hc = c.config.hc;
  args.iterations = c.config.sinkhorn_iterations;
  args.hc_eps = c.config.hc_eps;
  args.norm_eps = c.config.norm_eps;
  args.round_bf16 = c.numerics.round_bf16;
  args.y = a.y.slice(0, t);
  args.post = a.post.slice(0, t);
  args.comb = a.comb.slice(0, t);
  c.k.hyper_pre(args);
  norm(c, args.y, gain);
}

void block(const Context& c, const StepView& step, const LayerWeights& layer, const LayerState& state,
           int layer_index, Activations& a) {
  const int t = step.size();
  mix_and_norm(c, layer.hc_attn, layer.attn_norm, t, a);
  attention(c, step, layer, state, layer_index, a);
  mix_out(c, t, a);
  mix_and_norm(c, layer.hc_ffn, layer.ffn_norm, t, a);
  feed_forward(c, step, layer.ffn, layer_index, a);
  mix_out(c, t, a);
}

void head_input(const Context& c, const HyperWeights& hc, const float* gain, Mat<const float> streams,
                Mat<float> out) {
  HyperHeadArgs args;
  args.streams = streams;
  args.fn = hc.fn;
  args.base = hc.base;
  args.scale = hc.scale;
  args.hc = c.config.hc;
  args.hc_eps = c.config.hc_eps;
  args.norm_eps = c.config.norm_eps;
  args.round_bf16 = c.numerics.round_bf16;
  args.y = out;
  c.k.hyper_head(args);
  norm(c, out, gain);
}

}  // namespace plumb::deepseek_v4
