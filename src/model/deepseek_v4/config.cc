#include "model/deepseek_v4/config.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/json.h"
#include "model/deepseek_v4/config_fields.h"

namespace plumb::deepseek_v4 {
namespace {

constexpr int kOverlapRatio = 4;  // the published spelling marks sparse layers by this ratio alone
constexpr std::int64_t kMaxLayers = 512;
constexpr std::int64_t kMaxDim = 1 << 17;
constexpr std::int64_t kMaxVocab = 1 << 24;
constexpr std::int64_t kMaxRatio = 1 << 16;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;
constexpr std::int64_t kMaxExpertsInAll = 1 << 17;  // layers x experts: bounds the tensor list

// Keys of one field in the published spelling and in the reference program's.
struct IntField {
  std::string_view hf;
  std::string_view reference;
  int Config::*member;
  std::int64_t min, max;
};

constexpr std::array kIntFields = {
    IntField{"vocab_size", "vocab_size", &Config::vocab, 2, kMaxVocab},
    IntField{"hidden_size", "dim", &Config::dim, 1, kMaxDim},
    IntField{"num_attention_heads", "n_heads", &Config::heads, 1, 4096},
    IntField{"head_dim", "head_dim", &Config::head_dim, 2, 16384},
    IntField{"q_lora_rank", "q_lora_rank", &Config::q_rank, 1, kMaxDim},
    IntField{"o_groups", "o_groups", &Config::out_groups, 1, 4096},
    IntField{"o_lora_rank", "o_lora_rank", &Config::out_rank, 1, kMaxDim},
    IntField{"sliding_window", "window_size", &Config::window, 1, 1 << 20},
    IntField{"index_n_heads", "index_n_heads", &Config::index_heads, 1, 4096},
    IntField{"index_head_dim", "index_head_dim", &Config::index_dim, 2, 16384},
    IntField{"index_topk", "index_topk", &Config::index_top_k, 1, 1 << 20},
    IntField{"n_routed_experts", "n_routed_experts", &Config::experts, 1, 4096},
    IntField{"num_experts_per_tok", "n_activated_experts", &Config::experts_per_token, 1, 4096},
    IntField{"moe_intermediate_size", "moe_inter_dim", &Config::expert_dim, 1, kMaxDim},
    IntField{"hc_mult", "hc_mult", &Config::hc, 1, 16},
    IntField{"hc_sinkhorn_iters", "hc_sinkhorn_iters", &Config::sinkhorn_iterations, 1, 1000},
};

// Settings with one value that this architecture has; absent means that value.
struct FixedText {
  std::string_view hf, reference;
  std::string_view value;
};
constexpr std::array kFixedTexts = {
    FixedText{"scoring_func", "score_func", "sqrtsoftplus"},
    FixedText{"topk_method", "topk_method", "noaux_tc"},
    FixedText{"hidden_act", "hidden_act", "silu"},
};

struct FixedFlag {
  std::string_view key;
  bool value;
};
constexpr std::array kFixedFlags = {
    FixedFlag{"norm_topk_prob", true},
    FixedFlag{"tie_word_embeddings", false},
    FixedFlag{"attention_bias", false},
    FixedFlag{"mlp_bias", false},
};

// Keys that only relatives of this architecture carry.
struct RelativeKey {
  std::string_view key;
  std::string_view means;
};
constexpr std::array kRelativeKeys = {
    RelativeKey{"vision_config", "a vision tower"},
    RelativeKey{"engram_config", "an Engram module (V4.1)"},
    RelativeKey{"engram_layer_ids", "an Engram module (V4.1)"},
    RelativeKey{"dspark_config", "a multi-stage drafter"},
    RelativeKey{"kv_lora_rank", "multi-head latent attention (V3)"},
};

Status check_family(const Fields& f) {
  if (const Json* type = f.find("model_type"); type != nullptr) {
    if (!type->is_string() || type->text() != "deepseek_v4") {
      return f.unsupported("model_type", *type, "\"deepseek_v4\"");
    }
  }
  for (const RelativeKey& relative : kRelativeKeys) {
    const Json* value = f.find(relative.key);
    if (value == nullptr || value->is_null()) continue;
    return Error{Code::kUnsupported, f.what() + " has \"" + std::string(relative.key) +
                                         "\": a model with " + std::string(relative.means) +
                                         ", which is not supported; expected a DeepSeek-V4 text "
                                         "model."};
  }
  return {};
}

Status check_fixed(const Fields& f) {
  for (const FixedText& fixed : kFixedTexts) {
    const std::string_view key = f.reference() ? fixed.reference : fixed.hf;
    const Json* value = f.find(key);
    if (value == nullptr) continue;
    if (!value->is_string() || value->text() != fixed.value) {
      return f.unsupported(key, *value, "\"" + std::string(fixed.value) + "\"");
    }
  }
  for (const FixedFlag& fixed : kFixedFlags) {
    const Json* value = f.find(fixed.key);
    if (value == nullptr || value->is_null()) continue;
    if (value->as_bool() != fixed.value) {
      return f.unsupported(fixed.key, *value, fixed.value ? "true" : "false");
    }
  }
  PLUMB_TRY(shared, f.integer("n_shared_experts", 1, 64));
  if (shared != 1) return f.unsupported("n_shared_experts", shared, "1");
  PLUMB_TRY(kv_heads, f.integer_or("num_key_value_heads", 1, 1, 4096));
  if (kv_heads != 1) return f.unsupported("num_key_value_heads", kv_heads, "1");
  return {};
}

Status read_dims(const Fields& f, Config& c) {
  for (const IntField& field : kIntFields) {
    PLUMB_TRY(value, f.integer(f.reference() ? field.reference : field.hf, field.min, field.max));
    c.*field.member = static_cast<int>(value);
  }
  const std::string_view rope = f.reference() ? "rope_head_dim" : "qk_rope_head_dim";
  if (f.find(rope) == nullptr && f.find("partial_rotary_factor") != nullptr) {
    PLUMB_TRY(share, f.real("partial_rotary_factor", 0, 1));
    const double width = share * c.head_dim;
    if (std::abs(width - std::round(width)) > 1e-3) {
      return f.wrong("partial_rotary_factor", std::to_string(share),
                     "a factor that makes head_dim " + std::to_string(c.head_dim) +
                         " a whole number of rotary columns");
    }
    c.rope_dim = static_cast<int>(std::round(width));
  } else {
    PLUMB_TRY(value, f.integer(rope, 2, 16384));
    c.rope_dim = static_cast<int>(value);
  }
  return {};
}

Status read_numbers(const Fields& f, Config& c) {
  PLUMB_TRY(scale, f.real(f.reference() ? "route_scale" : "routed_scaling_factor", 1e-6, 1e6));
  PLUMB_TRY(limit, f.real("swiglu_limit", 1e-6, 1e6));
  PLUMB_TRY(hc_eps, f.real_or("hc_eps", 1e-6, 0, 1));
  PLUMB_TRY(norm_eps, f.real_or(f.reference() ? "norm_eps" : "rms_norm_eps", 1e-6, 0, 1));
  c.route_scale = static_cast<float>(scale);
  c.swiglu_limit = static_cast<float>(limit);
  c.hc_eps = static_cast<float>(hc_eps);
  c.norm_eps = static_cast<float>(norm_eps);
  return {};
}

Status read_tokens(const Fields& f, Config& c) {
  PLUMB_TRY(bos, f.integer_or("bos_token_id", 0, 0, c.vocab - 1));
  PLUMB_TRY(eos, f.integer_or("eos_token_id", 1, 0, c.vocab - 1));
  c.bos = static_cast<Token>(bos);
  c.eos = static_cast<Token>(eos);
  return {};
}

// By the published rule: the ratio alone tells the kind.
LayerConfig plan_of_ratio(int ratio) {
  LayerConfig plan;
  plan.ratio = ratio;
  if (ratio == kOverlapRatio) plan.attention = AttentionKind::kSparse;
  if (ratio > 0 && ratio != kOverlapRatio) plan.attention = AttentionKind::kHeavy;
  return plan;
}

Status read_ratios(const Fields& f, std::int64_t layers, Config& c) {
  PLUMB_TRY(ratios, f.integers("compress_ratios", 0, kMaxRatio));
  const auto want = static_cast<std::size_t>(layers + c.mtp_layers);
  if (ratios.size() != want) {
    return f.wrong("compress_ratios", "a list of " + std::to_string(ratios.size()),
                   std::to_string(want) + " entries (" + std::to_string(layers) + " layers and " +
                       std::to_string(c.mtp_layers) + " MTP blocks)");
  }
  for (std::int64_t i = 0; i < layers; ++i) {
    c.layers.push_back(plan_of_ratio(static_cast<int>(ratios[static_cast<std::size_t>(i)])));
  }
  if (c.mtp_layers == 1 && ratios.back() != 0) {
    return f.unsupported("compress_ratios (last entry, the MTP block)", ratios.back(), "0");
  }
  return {};
}

Status read_layer_types(const Fields& f, std::int64_t layers, Config& c) {
  PLUMB_TRY(types, f.texts("layer_types", layers));
  int sparse_ratio = kOverlapRatio, heavy_ratio = 128;
  if (const Json* rates = f.find("compress_rates"); rates != nullptr) {
    const Fields inner(*rates, f.what() + ": compress_rates", f.reference());
    PLUMB_TRY(sparse, inner.integer_or("compressed_sparse_attention", 4, 1, kMaxRatio));
    PLUMB_TRY(heavy, inner.integer_or("heavily_compressed_attention", 128, 1, kMaxRatio));
    sparse_ratio = static_cast<int>(sparse);
    heavy_ratio = static_cast<int>(heavy);
  }
  for (const std::string& type : types) {
    LayerConfig plan;
    if (type == "compressed_sparse_attention") {
      plan.attention = AttentionKind::kSparse;
      plan.ratio = sparse_ratio;
    } else if (type == "heavily_compressed_attention") {
      plan.attention = AttentionKind::kHeavy;
      plan.ratio = heavy_ratio;
    } else if (type != "sliding_attention") {
      return f.unsupported("layer_types", Json::string(type),
                           "sliding_attention, compressed_sparse_attention or "
                           "heavily_compressed_attention");
    }
    c.layers.push_back(plan);
  }
  return {};
}

Status read_routers(const Fields& f, std::int64_t layers, Config& c) {
  if (f.find("mlp_layer_types") != nullptr) {
    PLUMB_TRY(types, f.texts("mlp_layer_types", layers));
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i] == "hash_moe") {
        c.layers[i].router = RouterKind::kHash;
      } else if (types[i] != "moe") {
        return f.unsupported("mlp_layer_types", Json::string(types[i]), "hash_moe or moe");
      }
    }
    return {};
  }
  const std::string_view key = f.reference() ? "n_hash_layers" : "num_hash_layers";
  PLUMB_TRY(hash, f.integer(key, 0, layers));
  for (std::int64_t i = 0; i < hash; ++i) {
    c.layers[static_cast<std::size_t>(i)].router = RouterKind::kHash;
  }
  return {};
}

Status read_layers(const Fields& f, Config& c) {
  PLUMB_TRY(layers, f.integer(f.reference() ? "n_layers" : "num_hidden_layers", 1, kMaxLayers));
  const std::string_view key = f.reference() ? "n_mtp_layers" : "num_nextn_predict_layers";
  PLUMB_TRY(mtp, f.integer_or(key, f.reference() ? 1 : 0, 0, 64));
  if (mtp > 1) return f.unsupported(key, mtp, "0 or 1 (a multi-stage drafter has more)");
  c.mtp_layers = static_cast<int>(mtp);
  if (layers * c.experts > kMaxExpertsInAll) {
    return f.wrong("n_routed_experts", std::to_string(c.experts),
                   "at most " + std::to_string(kMaxExpertsInAll / layers) + " with " +
                       std::to_string(layers) + " layers");
  }
  if (f.find("compress_ratios") != nullptr || f.find("layer_types") == nullptr) {
    PLUMB_TRY_STATUS(read_ratios(f, layers, c));
  } else {
    PLUMB_TRY_STATUS(read_layer_types(f, layers, c));
  }
  return read_routers(f, layers, c);
}

Status read_yarn(const Fields& f, bool reference, Yarn& yarn) {
  const std::string_view original =
      reference ? "original_seq_len" : "original_max_position_embeddings";
  PLUMB_TRY(factor, f.real(reference ? "rope_factor" : "factor", 1, 1e6));
  PLUMB_TRY(positions, f.integer(original, 1, kMaxPositions - 1));
  PLUMB_TRY(fast, f.real_or("beta_fast", 32, 1e-3, 1e6));
  PLUMB_TRY(slow, f.real_or("beta_slow", 1, 1e-3, 1e6));
  if (fast < slow) {
    return f.wrong("beta_fast", std::to_string(fast), "at least beta_slow " + std::to_string(slow));
  }
  yarn = {factor, static_cast<double>(positions), fast, slow};
  return {};
}

// YaRN settings as published ("rope_scaling") or as one of the library's two dictionaries.
Status read_scaling(const Fields& f, Config& c) {
  const Json* type = f.find(f.find("rope_type") != nullptr ? "rope_type" : "type");
  if (type == nullptr || !type->is_string() || type->text() != "yarn") {
    return f.unsupported("type", type == nullptr ? Json() : *type, "\"yarn\"");
  }
  for (const std::string_view key : {"mscale", "mscale_all_dim", "attention_factor"}) {
    const Json* value = f.find(key);
    if (value == nullptr || value->is_null()) continue;
    if (value->as_double() != 1.0) {
      return f.unsupported(key, *value, "1 (V4 does not scale sine and cosine)");
    }
  }
  return read_yarn(f, false, c.yarn);
}

Status read_rewritten_rope(const Fields& f, const Json& rope, Config& c) {
  const Json* main = rope.find("main");
  const Json* compress = rope.find("compress");
  if (main == nullptr || compress == nullptr) {
    return f.wrong("rope_parameters", rope.dump().substr(0, 80),
                   "the two dictionaries \"main\" and \"compress\"");
  }
  const Fields fm(*main, f.what() + ": rope_parameters.main", false);
  const Fields fc(*compress, f.what() + ": rope_parameters.compress", false);
  if (const Json* type = fm.find("rope_type"); type != nullptr && type->text() != "default") {
    return fm.unsupported("rope_type", *type, "\"default\"");
  }
  PLUMB_TRY(theta, fm.real("rope_theta", 1.0001, 1e12));
  PLUMB_TRY(compressed, fc.real("rope_theta", 1.0001, 1e12));
  c.rope_theta = theta;
  c.compress_rope_theta = compressed;
  // Without this key the library itself would multiply sine and cosine by 0.1 ln(factor) + 1, so
  // the weights may have been made for that; V4 never does it.
  if (fc.find("attention_factor") == nullptr) {
    return Error{Code::kUnsupported,
                 fc.what() +
                     " has no \"attention_factor\", which the library that wrote it reads "
                     "as a scaled rotation; expected 1.0, as DeepSeek-V4 has it."};
  }
  return read_scaling(fc, c);
}

Status read_rope(const Fields& f, Config& c) {
  if (const Json* rope = f.find("rope_parameters"); rope != nullptr && !rope->is_null()) {
    PLUMB_TRY_STATUS(read_rewritten_rope(f, *rope, c));
  } else {
    PLUMB_TRY(theta, f.real("rope_theta", 1.0001, 1e12));
    PLUMB_TRY(compressed, f.real("compress_rope_theta", 1.0001, 1e12));
    c.rope_theta = theta;
    c.compress_rope_theta = compressed;
    if (f.reference()) {
      PLUMB_TRY_STATUS(read_yarn(f, true, c.yarn));
    } else {
      const Json* scaling = f.find("rope_scaling");
      if (scaling == nullptr || !scaling->is_object()) {
        return f.wrong("rope_scaling",
                       scaling == nullptr ? "missing" : scaling->dump().substr(0, 80),
                       "a dictionary with YaRN's settings");
      }
      PLUMB_TRY_STATUS(read_scaling(Fields(*scaling, f.what() + ": rope_scaling", false), c));
    }
  }
  // The reference program takes the length at run time; YaRN's reach is what the model was made
  // for.
  const double reach = c.yarn.factor * c.yarn.original_positions;
  const auto fallback =
      static_cast<std::int64_t>(std::min(reach, static_cast<double>(kMaxPositions - 1)));
  const std::string_view key = f.reference() ? "max_seq_len" : "max_position_embeddings";
  PLUMB_TRY(positions, f.integer_or(key, fallback, 1, kMaxPositions - 1));
  c.max_positions = positions;
  return {};
}

Status read_quantization(const Fields& f, Config& c) {
  const Json* dtype = f.find("expert_dtype");
  if (const Json* q = f.find("quantization_config"); q != nullptr && !q->is_null()) {
    const Fields fq(*q, f.what() + ": quantization_config", false);
    const std::array<std::array<std::string_view, 2>, 3> fixed = {
        {{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"scale_fmt", "ue8m0"}}};
    for (const auto& [key, value] : fixed) {
      const Json* found = fq.find(key);
      if (found != nullptr && found->text() != value) {
        return fq.unsupported(key, *found, "\"" + std::string(value) + "\"");
      }
    }
    if (fq.find("weight_block_size") != nullptr) {
      PLUMB_TRY(block, fq.integers("weight_block_size", 1, 4096));
      if (block != std::vector<std::int64_t>{128, 128}) {
        return fq.unsupported("weight_block_size", *fq.find("weight_block_size"), "[128, 128]");
      }
    }
    if (dtype == nullptr) dtype = fq.find("expert_dtype");
  }
  if (dtype == nullptr || dtype->is_null()) return {};
  if (!dtype->is_string() || (dtype->text() != "fp4" && dtype->text() != "fp8")) {
    return f.unsupported("expert_dtype", *dtype, "\"fp4\" or \"fp8\"");
  }
  c.expert_dtype = dtype->text();
  return {};
}

Status check_products(const Fields& f, const Config& c) {
  constexpr std::int64_t kMax = std::numeric_limits<int>::max();
  const std::array<std::pair<std::string_view, std::int64_t>, 5> products = {{
      {"heads x head_dim", std::int64_t{c.heads} * c.head_dim},
      {"o_groups x o_lora_rank", std::int64_t{c.out_groups} * c.out_rank},
      {"index_n_heads x index_head_dim", std::int64_t{c.index_heads} * c.index_dim},
      {"hc_mult x hidden_size", std::int64_t{c.hc} * c.dim},
      {"vocab_size x experts per token", std::int64_t{c.vocab} * c.experts_per_token},
  }};
  for (const auto& [name, value] : products) {
    if (value > kMax)
      return f.wrong(name, std::to_string(value), "at most " + std::to_string(kMax));
  }
  return {};
}

// Rows are kept in pages that hold whole groups of every layer.
Status check_ratios(const Fields& f, const Config& c) {
  constexpr std::int64_t kMaxMultiple = 1 << 16;
  std::int64_t multiple = 1;
  for (const LayerConfig& layer : c.layers) {
    multiple = std::lcm(multiple, std::int64_t{std::max(layer.ratio, 1)});
    if (multiple > kMaxMultiple) {
      return f.wrong("the common multiple of all compression ratios", std::to_string(multiple),
                     "at most " + std::to_string(kMaxMultiple));
    }
  }
  return {};
}

Status check_consistency(const Fields& f, const Config& c) {
  const auto text = [](std::int64_t v) { return std::to_string(v); };
  if (c.heads % c.out_groups != 0) {
    return f.wrong("o_groups", text(c.out_groups), "a divisor of the " + text(c.heads) + " heads");
  }
  if (c.rope_dim < 2 || c.rope_dim % 2 != 0 || c.rope_dim > c.head_dim) {
    return f.wrong("qk_rope_head_dim", text(c.rope_dim),
                   "an even number from 2 to head_dim " + text(c.head_dim));
  }
  const bool indexed = c.count(AttentionKind::kSparse) > 0;
  if (indexed && c.index_dim < c.rope_dim) {
    return f.wrong("index_head_dim", text(c.index_dim),
                   "at least the " + text(c.rope_dim) + " rotary columns");
  }
  if (c.experts_per_token > c.experts) {
    return f.wrong(f.reference() ? "n_activated_experts" : "num_experts_per_tok",
                   text(c.experts_per_token), "at most the " + text(c.experts) + " experts");
  }
  PLUMB_TRY_STATUS(check_ratios(f, c));
  return check_products(f, c);
}

}  // namespace

int Config::count(AttentionKind kind) const {
  return static_cast<int>(std::count_if(layers.begin(), layers.end(),
                                        [&](const LayerConfig& l) { return l.attention == kind; }));
}

Result<Config> Config::parse(std::string_view json, std::string_view what) {
  PLUMB_TRY(tree, parse_json(json, what, {.max_depth = 16, .max_bytes = std::size_t{4} << 20}));
  if (!tree.is_object()) {
    return Error{Code::kCorrupt, std::string(what) + " is not a JSON object."};
  }
  const bool reference = tree.find("dim") != nullptr && tree.find("hidden_size") == nullptr;
  const Fields f(tree, std::string(what), reference);
  Config c;
  PLUMB_TRY_STATUS(check_family(f));
  PLUMB_TRY_STATUS(check_fixed(f));
  PLUMB_TRY_STATUS(read_dims(f, c));
  PLUMB_TRY_STATUS(read_numbers(f, c));
  PLUMB_TRY_STATUS(read_tokens(f, c));
  PLUMB_TRY_STATUS(read_layers(f, c));
  PLUMB_TRY_STATUS(read_rope(f, c));
  PLUMB_TRY_STATUS(read_quantization(f, c));
  PLUMB_TRY_STATUS(check_consistency(f, c));
  return c;
}

Status check_simulation(const Config& c) {
  constexpr int kRowBlock = 64, kIndexBlock = 32;
  if ((c.head_dim - c.rope_dim) % kRowBlock != 0) {
    return Error{
        Code::kUnsupported,
        "The vendor and fast numerics round key rows per 64 columns: head_dim - qk_rope_head_dim is " +
            std::to_string(c.head_dim - c.rope_dim) + ", expected a multiple of 64."};
  }
  if (c.count(AttentionKind::kSparse) == 0) return {};
  if (!std::has_single_bit(static_cast<unsigned>(c.index_dim)) || c.index_dim % kIndexBlock != 0) {
    return Error{Code::kUnsupported,
                 "The vendor and fast numerics rotate and round indexer rows: index_head_dim is " +
                     std::to_string(c.index_dim) + ", expected a power of two from 32."};
  }
  return {};
}

}  // namespace plumb::deepseek_v4
