// Configs that need no file: the published models' shapes and a tiny one with every part.
#include <array>

#include "base/json.h"
#include "model/deepseek_v4/config.h"

namespace plumb::deepseek_v4 {
namespace {

LayerConfig heavy(int ratio) { return {AttentionKind::kHeavy, ratio, RouterKind::kScore}; }
LayerConfig sparse() { return {AttentionKind::kSparse, 4, RouterKind::kScore}; }

void route_by_hash(Config& c, int first_layers) {
  for (int i = 0; i < first_layers; ++i) {
    c.layers[static_cast<std::size_t>(i)].router = RouterKind::kHash;
  }
}

// What Flash and Pro share.
Config published() {
  Config c;
  c.vocab = 129280;
  c.mtp_layers = 1;
  c.head_dim = 512;
  c.rope_dim = 64;
  c.out_rank = 1024;
  c.window = 128;
  c.index_heads = 64;
  c.index_dim = 128;
  c.experts_per_token = 6;
  c.swiglu_limit = 10;
  c.hc = 4;
  c.sinkhorn_iterations = 20;
  c.rope_theta = 10000;
  c.compress_rope_theta = 160000;
  c.yarn = {16, 65536, 32, 1};
  c.max_positions = 1048576;
  c.expert_dtype = "fp4";
  return c;
}

// Layers after the first two: sparse and heavy in turn.
void add_alternating(Config& c, int layers) {
  for (int i = 0; i < layers; ++i) c.layers.push_back(i % 2 == 0 ? sparse() : heavy(128));
}

Config v4_flash() {
  Config c = published();
  c.dim = 4096;
  c.layers.resize(2);
  add_alternating(c, 41);
  c.heads = 64;
  c.q_rank = 1024;
  c.out_groups = 8;
  c.index_top_k = 512;
  c.experts = 256;
  c.expert_dim = 2048;
  c.route_scale = 1.5F;
  route_by_hash(c, 3);
  return c;
}

Config v4_pro() {
  Config c = published();
  c.dim = 7168;
  c.layers.assign(2, heavy(128));
  add_alternating(c, 59);
  c.heads = 128;
  c.q_rank = 1536;
  c.out_groups = 16;
  c.index_top_k = 1024;
  c.experts = 384;
  c.expert_dim = 3072;
  c.route_scale = 2.5F;
  route_by_hash(c, 3);
  return c;
}

// The shape that speed is measured with: every part of the published models at 2.4 billion
// parameters, of which a token meets about 494 MB; large enough that no cache holds it.
Config bench_v4_2b() {
  Config c = published();
  c.vocab = 32768;
  c.dim = 2048;
  c.layers.resize(2);
  add_alternating(c, 8);
  c.heads = 16;
  c.q_rank = 512;
  c.out_groups = 4;
  c.out_rank = 512;
  c.index_heads = 16;
  c.index_top_k = 512;
  c.experts = 64;
  c.expert_dim = 512;
  c.route_scale = 1.5F;
  route_by_hash(c, 2);
  return c;
}

// Every kind of layer, both routers and the draft block; widths in multiples of 128 so that FP8 and
// FP4 tiles are whole, the published ratios, and a window and top-k small enough to bind early.
Config tiny() {
  Config c = published();
  c.vocab = 384;
  c.dim = 128;
  c.layers = {LayerConfig{}, sparse(), heavy(128), sparse(), heavy(128)};
  c.heads = 4;
  c.head_dim = 128;
  c.q_rank = 128;
  c.out_groups = 2;
  c.out_rank = 128;
  c.window = 32;
  c.index_heads = 4;
  c.index_top_k = 16;
  c.experts = 8;
  c.experts_per_token = 2;
  c.expert_dim = 128;
  c.route_scale = 1.5F;
  c.yarn = {16, 8192, 32, 1};
  c.max_positions = 131072;
  route_by_hash(c, 1);
  return c;
}

struct Builtin {
  std::string_view name;
  Config (*make)();
};
constexpr std::array kBuiltins = {Builtin{"v4-flash", v4_flash}, Builtin{"v4-pro", v4_pro},
                                  Builtin{"bench-v4-2b", bench_v4_2b}, Builtin{"tiny", tiny}};

int hash_layers(const Config& c) {
  int count = 0;
  for (const LayerConfig& layer : c.layers) count += layer.router == RouterKind::kHash ? 1 : 0;
  return count;
}

Json ratios(const Config& c) {
  std::vector<Json> items;
  for (const LayerConfig& layer : c.layers) items.push_back(Json::integer(layer.ratio));
  if (c.mtp_layers > 0) items.push_back(Json::integer(0));
  return Json::array(std::move(items));
}

void set_int(Json& json, const char* key, std::int64_t value) {
  json.set(key, Json::integer(value));
}

// A float as the shortest decimal that gives it back, not as the double it happens to be.
Json decimal(float value) {
  char text[32];
  for (int digits = 1; digits <= 9; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(value));
    if (std::strtof(text, nullptr) == value) break;
  }
  return Json::real(std::strtod(text, nullptr));
}

}  // namespace

Result<Config> builtin_config(std::string_view name) {
  std::string known;
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.name == name) return builtin.make();
    known += (known.empty() ? "" : ", ") + std::string(builtin.name);
  }
  return Error{Code::kNotFound, "There is no built-in config \"" + std::string(name) +
                                    "\"; there are " + known + "."};
}

Result<Config> first_layers(Config config, int count) {
  const auto has = static_cast<int>(config.layers.size());
  if (count < 1 || count > has) {
    return Error{Code::kInvalid, "The model has " + std::to_string(has) +
                                     " layers; expected to keep 1 to " + std::to_string(has) +
                                     " of them, not " + std::to_string(count) + "."};
  }
  config.layers.resize(static_cast<std::size_t>(count));
  return config;
}

std::string published_config_json(const Config& c) {
  Json json = Json::object();
  json.set("architectures", Json::array({Json::string("DeepseekV4ForCausalLM")}));
  json.set("model_type", Json::string("deepseek_v4"));
  set_int(json, "vocab_size", c.vocab);
  set_int(json, "hidden_size", c.dim);
  set_int(json, "num_hidden_layers", static_cast<std::int64_t>(c.layers.size()));
  set_int(json, "num_nextn_predict_layers", c.mtp_layers);
  set_int(json, "num_attention_heads", c.heads);
  set_int(json, "num_key_value_heads", 1);
  set_int(json, "head_dim", c.head_dim);
  set_int(json, "qk_rope_head_dim", c.rope_dim);
  set_int(json, "q_lora_rank", c.q_rank);
  set_int(json, "o_groups", c.out_groups);
  set_int(json, "o_lora_rank", c.out_rank);
  set_int(json, "sliding_window", c.window);
  json.set("compress_ratios", ratios(c));
  set_int(json, "index_n_heads", c.index_heads);
  set_int(json, "index_head_dim", c.index_dim);
  set_int(json, "index_topk", c.index_top_k);
  set_int(json, "n_routed_experts", c.experts);
  set_int(json, "num_experts_per_tok", c.experts_per_token);
  set_int(json, "n_shared_experts", c.shared_experts);
  set_int(json, "moe_intermediate_size", c.expert_dim);
  set_int(json, "num_hash_layers", hash_layers(c));
  json.set("scoring_func", Json::string("sqrtsoftplus"));
  json.set("topk_method", Json::string("noaux_tc"));
  json.set("norm_topk_prob", Json::boolean(true));
  json.set("routed_scaling_factor", decimal(c.route_scale));
  json.set("swiglu_limit", decimal(c.swiglu_limit));
  json.set("hidden_act", Json::string("silu"));
  set_int(json, "hc_mult", c.hc);
  set_int(json, "hc_sinkhorn_iters", c.sinkhorn_iterations);
  json.set("hc_eps", decimal(c.hc_eps));
  json.set("rms_norm_eps", decimal(c.norm_eps));
  json.set("rope_theta", Json::real(c.rope_theta));
  json.set("compress_rope_theta", Json::real(c.compress_rope_theta));
  Json yarn = Json::object();
  yarn.set("type", Json::string("yarn"));
  yarn.set("factor", Json::real(c.yarn.factor));
  set_int(yarn, "original_max_position_embeddings",
          static_cast<std::int64_t>(c.yarn.original_positions));
  yarn.set("beta_fast", Json::real(c.yarn.beta_fast));
  yarn.set("beta_slow", Json::real(c.yarn.beta_slow));
  json.set("rope_scaling", std::move(yarn));
  set_int(json, "max_position_embeddings", c.max_positions);
  set_int(json, "bos_token_id", c.bos);
  set_int(json, "eos_token_id", c.eos);
  json.set("attention_bias", Json::boolean(false));
  json.set("tie_word_embeddings", Json::boolean(false));
  json.set("torch_dtype", Json::string("bfloat16"));
  Json quantization = Json::object();
  quantization.set("quant_method", Json::string("fp8"));
  quantization.set("fmt", Json::string("e4m3"));
  quantization.set("scale_fmt", Json::string("ue8m0"));
  quantization.set("activation_scheme", Json::string("dynamic"));
  quantization.set("weight_block_size",
                   Json::array({Json::integer(c.block_rows), Json::integer(c.block_cols)}));
  json.set("quantization_config", std::move(quantization));
  if (!c.expert_dtype.empty()) json.set("expert_dtype", Json::string(c.expert_dtype));
  return json.dump_pretty() + "\n";
}

}  // namespace plumb::deepseek_v4
