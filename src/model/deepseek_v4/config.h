// What a DeepSeek-V4 checkpoint says about itself, validated: any Config that exists can be run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace plumb::deepseek_v4 {

enum class AttentionKind : std::uint8_t {
  kWindow,  // sliding window only
  kSparse,  // + overlapped rows of every `ratio` (4) tokens, top-k of them chosen by the indexer
  kHeavy,   // + one row per `ratio` (128) tokens, all of them attended
};
enum class RouterKind : std::uint8_t { kHash, kScore };

struct LayerConfig {
  AttentionKind attention = AttentionKind::kWindow;
  int ratio = 0;  // tokens per compressed row; 0: kWindow
  RouterKind router = RouterKind::kScore;

  bool compressed() const { return attention != AttentionKind::kWindow; }
  bool indexed() const { return attention == AttentionKind::kSparse; }
  // Halves of the compressor's projections: a sparse layer's rows overlap their predecessors.
  int halves() const { return indexed() ? 2 : 1; }
  bool operator==(const LayerConfig&) const = default;
};

struct Yarn {
  double factor = 1;
  double original_positions = 0;  // 0: no scaling
  double beta_fast = 32, beta_slow = 1;
  bool operator==(const Yarn&) const = default;
};

// Plain data in the paper's terms; keys of the three spellings are in config.cc. Immutable once parsed.
struct Config {
  std::string model_type = "deepseek_v4";
  int vocab = 0;
  int dim = 0;                     // d
  std::vector<LayerConfig> layers; // the trunk
  int mtp_layers = 0;              // 0 or 1; the draft block is a kWindow, kScore layer
  int heads = 0, head_dim = 0, rope_dim = 0;
  int q_rank = 0, out_groups = 0, out_rank = 0;
  int window = 0;
  int index_heads = 0, index_dim = 0, index_top_k = 0;
  int experts = 0, experts_per_token = 0, shared_experts = 1, expert_dim = 0;
  float route_scale = 1, swiglu_limit = 0;
  int hc = 0, sinkhorn_iterations = 0;
  float hc_eps = 1e-6f, norm_eps = 1e-6f;
  double rope_theta = 10000, compress_rope_theta = 160000;
  Yarn yarn;                       // compressed layers only
  Pos max_positions = 0;
  Token bos = 0, eos = 1;
  int block_rows = 128, block_cols = 128;  // of FP8 linears
  std::string expert_dtype;        // a hint only ("fp4", "fp8", ""): the stored dtype decides

  int count(AttentionKind kind) const;                             // layers of the trunk
  int group_dim() const { return heads / out_groups * head_dim; }  // input of one output group
  int mix_dim() const { return (2 + hc) * hc; }                    // mixing numbers of one mHC site
  bool operator==(const Config&) const = default;

  // Any of the three spellings: the published config.json, the published inference/config.json, and
  // the one that `transformers` saves. `what` names the file in messages. kCorrupt: a field is
  // missing or wrong; kUnsupported: a valid config of another architecture or variant. Both name the
  // field, its value and what was expected.
  static Result<Config> parse(std::string_view config_json, std::string_view what = "config.json");
};

// The published spelling of `config`.
std::string published_config_json(const Config& config);

// Configs that need no file: "v4-flash", "v4-pro", "bench-v4-2b", "tiny". kNotFound lists them.
Result<Config> builtin_config(std::string_view name);

// The same model with its first `count` layers alone (the draft block stays). kInvalid says how many
// there are.
Result<Config> first_layers(Config config, int count);

// What vendor and fast numerics need beyond plain: their block quantisers and the Hadamard rotation have
// fixed widths. kUnsupported names the field.
Status check_simulation(const Config& config);

}  // namespace plumb::deepseek_v4
