#include "model/deepseek_v4/names.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace plumb::deepseek_v4 {
namespace {

using Pair = std::pair<const char*, const char*>;  // stored, published

class Names : public testing::TestWithParam<Pair> {};

TEST_P(Names, BecomeThePublishedOnes) {
  const auto name = canonical_name(GetParam().first);
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_EQ(*name, GetParam().second);
  const auto again = canonical_name(*name);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *name) << "a published name must not change";
}

INSTANTIATE_TEST_SUITE_P(
    Aliases, Names,
    testing::Values(
        Pair{"embed.weight", "embed.weight"}, Pair{"model.embed_tokens.weight", "embed.weight"},
        Pair{"lm_head.weight", "head.weight"}, Pair{"model.norm.weight", "norm.weight"},
        Pair{"model.hc_head.hc_fn", "hc_head_fn"}, Pair{"hc_head_scale", "hc_head_scale"},
        Pair{"model.layers.3.input_layernorm.weight", "layers.3.attn_norm.weight"},
        Pair{"model.layers.3.post_attention_layernorm.weight", "layers.3.ffn_norm.weight"},
        Pair{"model.layers.3.attn_hc.fn", "layers.3.hc_attn_fn"},
        Pair{"model.layers.3.ffn_hc.scale", "layers.3.hc_ffn_scale"},
        Pair{"layers.3.hc_attn_base", "layers.3.hc_attn_base"},
        Pair{"model.layers.3.self_attn.sinks", "layers.3.attn.attn_sink"},
        Pair{"model.layers.3.self_attn.q_a_proj.weight", "layers.3.attn.wq_a.weight"},
        Pair{"model.layers.3.self_attn.q_b_proj.weight_scale_inv", "layers.3.attn.wq_b.scale"},
        Pair{"model.layers.3.self_attn.kv_proj.weight", "layers.3.attn.wkv.weight"},
        Pair{"model.layers.3.self_attn.o_a_proj.weight", "layers.3.attn.wo_a.weight"},
        Pair{"model.layers.3.self_attn.o_b_proj.weight", "layers.3.attn.wo_b.weight"},
        Pair{"model.layers.3.self_attn.q_a_norm.weight", "layers.3.attn.q_norm.weight"},
        Pair{"model.layers.3.self_attn.kv_norm.weight", "layers.3.attn.kv_norm.weight"},
        Pair{"model.layers.3.self_attn.compressor.kv_proj.weight",
             "layers.3.attn.compressor.wkv.weight"},
        Pair{"model.layers.3.self_attn.compressor.gate_proj.weight",
             "layers.3.attn.compressor.wgate.weight"},
        Pair{"model.layers.3.self_attn.compressor.position_bias", "layers.3.attn.compressor.ape"},
        Pair{"model.layers.3.self_attn.compressor.kv_norm.weight",
             "layers.3.attn.compressor.norm.weight"},
        Pair{"model.layers.3.self_attn.compressor.indexer.kv_proj.weight",
             "layers.3.attn.indexer.compressor.wkv.weight"},
        Pair{"model.layers.3.self_attn.compressor.indexer.position_bias",
             "layers.3.attn.indexer.compressor.ape"},
        Pair{"model.layers.3.self_attn.compressor.indexer.q_b_proj.weight",
             "layers.3.attn.indexer.wq_b.weight"},
        Pair{"model.layers.3.self_attn.compressor.indexer.q_b_proj.weight_scale_inv",
             "layers.3.attn.indexer.wq_b.scale"},
        Pair{"model.layers.3.self_attn.compressor.indexer.weights_proj.weight",
             "layers.3.attn.indexer.weights_proj.weight"},
        Pair{"model.layers.3.self_attn.compressor.indexer.scorer.weights_proj.weight",
             "layers.3.attn.indexer.weights_proj.weight"},
        Pair{"layers.3.attn.indexer.compressor.norm.weight",
             "layers.3.attn.indexer.compressor.norm.weight"},
        Pair{"model.layers.3.mlp.gate.weight", "layers.3.ffn.gate.weight"},
        Pair{"model.layers.3.mlp.gate.e_score_correction_bias", "layers.3.ffn.gate.bias"},
        Pair{"model.layers.0.mlp.gate.tid2eid", "layers.0.ffn.gate.tid2eid"},
        Pair{"model.layers.3.mlp.shared_experts.gate_proj.weight",
             "layers.3.ffn.shared_experts.w1.weight"},
        Pair{"model.layers.3.mlp.shared_experts.down_proj.weight",
             "layers.3.ffn.shared_experts.w2.weight"},
        Pair{"model.layers.3.mlp.shared_experts.up_proj.weight_scale_inv",
             "layers.3.ffn.shared_experts.w3.scale"},
        Pair{"model.layers.3.mlp.experts.17.up_proj.weight", "layers.3.ffn.experts.17.w3.weight"},
        Pair{"layers.3.ffn.experts.17.w2.scale", "layers.3.ffn.experts.17.w2.scale"},
        Pair{"mtp.0.self_attn.q_a_proj.weight", "mtp.0.attn.wq_a.weight"},
        Pair{"mtp.0.e_proj.weight_scale_inv", "mtp.0.e_proj.scale"},
        Pair{"mtp.0.hc_head_fn", "mtp.0.hc_head_fn"}, Pair{"something.else", "something.else"},
        Pair{"", ""}, Pair{"model.", ""}));

TEST(Names, RefusesRelativesAndFusedExpertsByName) {
  const std::array<Pair, 7> refused = {{
      {"mtp.1.attn.wq_a.weight", "drafter"},
      {"mtp.0.main_proj.weight", "drafter"},
      {"mtp.2.markov_head.weight", "drafter"},
      {"layers.4.engram.embed.weight", "Engram"},
      {"vision_tower.blocks.0.weight", "vision"},
      {"model.layers.3.mlp.experts.gate_up_proj", "one tensor per expert"},
      {"model.layers.3.mlp.experts.down_proj_scale_inv", "one tensor per expert"},
  }};
  for (const auto& [stored, says] : refused) {
    const auto name = canonical_name(stored);
    ASSERT_FALSE(name) << stored;
    EXPECT_EQ(name.error().code, Code::kUnsupported);
    EXPECT_NE(name.error().message.find(says), std::string::npos) << name.error().message;
    EXPECT_NE(name.error().message.find(stored), std::string::npos) << name.error().message;
  }
}

}  // namespace
}  // namespace plumb::deepseek_v4
