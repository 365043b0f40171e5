#include "model/deepseek_v4/config.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace plumb::deepseek_v4 {
namespace {

std::string data_file(const std::string& name) {
  auto text = read_file(std::string(PLUMB_SOURCE_DIR) + "/tests/" + name);
  EXPECT_TRUE(text) << text.error().message;
  return text ? *text : std::string();
}

Config parsed(const std::string& text) {
  auto config = Config::parse(text);
  EXPECT_TRUE(config) << config.error().message;
  return config ? *config : Config();
}

Config builtin(std::string_view name) {
  auto config = builtin_config(name);
  EXPECT_TRUE(config);
  return *config;
}

// The tiny config with one field replaced (or removed: null pointer).
std::string with(std::string_view key, const char* value) {
  Json json = *parse_json(published_config_json(builtin("tiny")), "test");
  if (value != nullptr) {
    json.set(std::string(key), *parse_json(value, "test"));
    return json.dump();
  }
  Json smaller = Json::object();
  for (const auto& [k, v] : json.members()) {
    if (k != key) smaller.set(k, v);
  }
  return smaller.dump();
}

TEST(Config, PublishedAndReferenceSpellingsOfProAgreeWithTheBuiltIn) {
  const Config hf = parsed(data_file("data/configs/deepseek-v4-pro.config.json"));
  const Config reference = parsed(data_file("data/configs/deepseek-v4-pro.inference-config.json"));
  EXPECT_EQ(hf, reference);
  EXPECT_EQ(hf, builtin("v4-pro"));
}

TEST(Config, ReferenceSpellingOfFlashAgreesWithTheBuiltIn) {
  EXPECT_EQ(parsed(data_file("data/configs/deepseek-v4-flash.inference-config.json")),
            builtin("v4-flash"));
}

TEST(Config, KnowsTheLayersOfFlashAndPro) {
  const Config flash = builtin("v4-flash"), pro = builtin("v4-pro");
  EXPECT_EQ(flash.layers.size(), 43u);
  EXPECT_EQ(flash.count(AttentionKind::kWindow), 2);
  EXPECT_EQ(flash.count(AttentionKind::kSparse), 21);
  EXPECT_EQ(flash.count(AttentionKind::kHeavy), 20);
  EXPECT_EQ(flash.layers[42].attention, AttentionKind::kSparse);
  EXPECT_EQ(pro.layers.size(), 61u);
  EXPECT_EQ(pro.count(AttentionKind::kSparse), 30);
  EXPECT_EQ(pro.count(AttentionKind::kHeavy), 31);
  EXPECT_EQ(pro.layers[2].router, RouterKind::kHash);
  EXPECT_EQ(pro.layers[3].router, RouterKind::kScore);
}

TEST(Config, WhatItWritesItReadsBack) {
  for (const char* name : {"v4-flash", "v4-pro", "bench-v4-2b", "tiny"}) {
    EXPECT_EQ(parsed(published_config_json(builtin(name))), builtin(name)) << name;
  }
}

TEST(Config, KeepsTheFirstLayersAndTheDraftBlock) {
  const Config flash = builtin("v4-flash");
  const auto four = first_layers(flash, 4);
  ASSERT_TRUE(four);
  ASSERT_EQ(four->layers.size(), 4u);
  EXPECT_EQ(four->layers[2], flash.layers[2]);
  EXPECT_EQ(four->mtp_layers, 1);
  EXPECT_EQ(parsed(published_config_json(*four)), *four);
  EXPECT_FALSE(first_layers(flash, 0));
  EXPECT_FALSE(first_layers(flash, 44));
}

TEST(Config, RewrittenSpellingAgreesWithThePublishedOne) {
  const Config published = parsed(data_file("golden/plain_a/config.json"));
  const Config rewritten = parsed(data_file("golden/plain_a/config.hf.json"));
  EXPECT_EQ(published, rewritten);
  EXPECT_EQ(published.layers[2].ratio, 8);
  EXPECT_EQ(published.layers[2].attention, AttentionKind::kHeavy);
  EXPECT_EQ(published.mtp_layers, 1);
}

TEST(Config, TakesDimensionsThatAreNoPowersOfTwo) {
  const Config c = parsed(data_file("golden/plain_b/config.json"));
  EXPECT_EQ(c.index_dim, 20);
  EXPECT_EQ(c.hc, 2);
  EXPECT_EQ(c.mtp_layers, 0);
  EXPECT_EQ(c.yarn, (Yarn{8, 1024, 16, 2}));
  EXPECT_FALSE(check_simulation(c));
  EXPECT_TRUE(check_simulation(builtin("v4-pro")));
  EXPECT_TRUE(check_simulation(builtin("tiny")));
}

struct Refusal {
  const char* key;
  const char* value;  // nullptr: the field is removed
  Code code;
  const char* says;  // must occur in the message
};

class ConfigRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(ConfigRefuses, WithFieldValueAndExpectation) {
  const Refusal& r = GetParam();
  const auto config = Config::parse(with(r.key, r.value), "some.json");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, r.code) << config.error().message;
  EXPECT_NE(config.error().message.find(r.says), std::string::npos) << config.error().message;
  EXPECT_NE(config.error().message.find("some.json"), std::string::npos) << config.error().message;
  EXPECT_NE(config.error().message.find("expected"), std::string::npos) << config.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigRefuses,
    testing::Values(
        Refusal{"hidden_size", nullptr, Code::kCorrupt, "has no \"hidden_size\""},
        Refusal{"hidden_size", "0", Code::kCorrupt, "hidden_size is 0"},
        Refusal{"hidden_size", "1.5", Code::kCorrupt, "hidden_size is 1.5"},
        Refusal{"hidden_size", "9223372036854775808", Code::kCorrupt, "9223372036854775808"},
        Refusal{"hidden_size", "\"128\"", Code::kCorrupt, "hidden_size is \"128\""},
        Refusal{"o_groups", "3", Code::kCorrupt, "o_groups is 3"},
        Refusal{"qk_rope_head_dim", "63", Code::kCorrupt, "qk_rope_head_dim is 63"},
        Refusal{"qk_rope_head_dim", "256", Code::kCorrupt, "qk_rope_head_dim is 256"},
        Refusal{"num_experts_per_tok", "9", Code::kCorrupt, "num_experts_per_tok is 9"},
        Refusal{"index_topk", "0", Code::kCorrupt, "index_topk is 0"},
        Refusal{"compress_ratios", "[0,4,128,4,128]", Code::kCorrupt, "a list of 5, expected 6"},
        Refusal{"compress_ratios", "[0,4,128,4,128,4]", Code::kUnsupported, "MTP"},
        Refusal{"compress_ratios", "[0,4,-128,4,128,0]", Code::kCorrupt, "-128"},
        Refusal{"compress_ratios", "[0,4,1009,997,128,0]", Code::kCorrupt, "common multiple"},
        Refusal{"num_hash_layers", "6", Code::kCorrupt, "num_hash_layers is 6"},
        Refusal{"num_nextn_predict_layers", "3", Code::kUnsupported, "is 3"},
        Refusal{"scoring_func", "\"sigmoid\"", Code::kUnsupported, "sigmoid"},
        Refusal{"hidden_act", "\"gelu\"", Code::kUnsupported, "gelu"},
        Refusal{"norm_topk_prob", "false", Code::kUnsupported, "norm_topk_prob is false"},
        Refusal{"attention_bias", "true", Code::kUnsupported, "attention_bias is true"},
        Refusal{"n_shared_experts", "2", Code::kUnsupported, "n_shared_experts is 2"},
        Refusal{"num_key_value_heads", "4", Code::kUnsupported, "num_key_value_heads is 4"},
        Refusal{"model_type", "\"deepseek_v41\"", Code::kUnsupported, "deepseek_v41"},
        Refusal{"vision_config", "{}", Code::kUnsupported, "vision"},
        Refusal{"engram_config", "{}", Code::kUnsupported, "Engram"},
        Refusal{"kv_lora_rank", "512", Code::kUnsupported, "V3"},
        Refusal{"rope_theta", "-1", Code::kCorrupt, "rope_theta is -1"},
        Refusal{"rope_scaling", "{\"type\":\"linear\",\"factor\":2}", Code::kUnsupported, "linear"},
        Refusal{"rope_scaling", "{\"type\":\"yarn\",\"factor\":16}", Code::kCorrupt,
                "original_max_position_embeddings"},
        Refusal{"swiglu_limit", "0", Code::kCorrupt, "swiglu_limit is 0"},
        Refusal{"expert_dtype", "\"int4\"", Code::kUnsupported, "int4"},
        Refusal{"quantization_config", "{\"quant_method\":\"awq\"}", Code::kUnsupported, "awq"},
        Refusal{"eos_token_id", "384", Code::kCorrupt, "eos_token_id is 384"},
        Refusal{"n_routed_experts", "5000", Code::kCorrupt, "n_routed_experts is 5000"}));

TEST(Config, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "3", "{", "{\"a\":1,\"a\":2}"}) {
    const auto config = Config::parse(text, "some.json");
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().code, Code::kCorrupt) << text;
  }
}

TEST(Config, RefusesARewrittenConfigThatScalesTheRotation) {
  std::string text = data_file("golden/plain_a/config.hf.json");
  const std::string key = "\"attention_factor\": 1.0";
  const auto at = text.find(key);
  ASSERT_NE(at, std::string::npos);
  const auto scaled =
      Config::parse(std::string(text).replace(at, key.size(), "\"attention_factor\": 1.277"));
  ASSERT_FALSE(scaled);
  EXPECT_EQ(scaled.error().code, Code::kUnsupported);
  const auto silent = Config::parse(std::string(text).replace(at, key.size(), "\"mscale\": 1.0"));
  ASSERT_FALSE(silent);
  EXPECT_NE(silent.error().message.find("attention_factor"), std::string::npos);
}

TEST(Config, NamesTheBuiltInsWhenAskedForAnother) {
  const auto config = builtin_config("v5");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Code::kNotFound);
  EXPECT_NE(config.error().message.find("v4-flash"), std::string::npos);
}

}  // namespace
}  // namespace plumb::deepseek_v4
