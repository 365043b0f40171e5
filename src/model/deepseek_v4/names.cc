#include "model/deepseek_v4/names.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/json.h"

namespace plumb::deepseek_v4 {
namespace {

using Parts = std::vector<std::string_view>;  // a name cut at its dots

struct Rename {
  std::string_view from, to;
};

constexpr std::array kGlobal = {
    Rename{"embed_tokens", "embed"},
    Rename{"lm_head", "head"},
};
constexpr std::array kBlock = {
    Rename{"self_attn", "attn"},
    Rename{"mlp", "ffn"},
    Rename{"input_layernorm", "attn_norm"},
    Rename{"post_attention_layernorm", "ffn_norm"},
};
constexpr std::array kAttention = {
    Rename{"sinks", "attn_sink"}, Rename{"q_a_proj", "wq_a"}, Rename{"q_b_proj", "wq_b"},
    Rename{"kv_proj", "wkv"},     Rename{"o_a_proj", "wo_a"}, Rename{"o_b_proj", "wo_b"},
    Rename{"q_a_norm", "q_norm"},
};
constexpr std::array kCompressor = {
    Rename{"kv_proj", "wkv"},
    Rename{"gate_proj", "wgate"},
    Rename{"position_bias", "ape"},
    Rename{"kv_norm", "norm"},
};
constexpr std::array kGate = {
    Rename{"e_score_correction_bias", "bias"},
};
constexpr std::array kExpert = {
    Rename{"gate_proj", "w1"},
    Rename{"down_proj", "w2"},
    Rename{"up_proj", "w3"},
};
constexpr std::array kLeaf = {
    Rename{"weight_scale_inv", "scale"},
};

std::string_view renamed(std::string_view part, std::span<const Rename> table) {
  const auto it =
      std::find_if(table.begin(), table.end(), [&](const Rename& r) { return r.from == part; });
  return it == table.end() ? part : it->to;
}

Parts split(std::string_view name) {
  Parts parts;
  while (true) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

std::string join(const Parts& parts) {
  std::string name;
  for (const std::string_view part : parts) {
    if (!name.empty()) name += '.';
    name += part;
  }
  return name;
}

// The library nests the indexer in the compressor: "compressor.indexer.X". Its query and weights
// projections are the indexer's own; everything else belongs to the indexer's compressor.
Parts unnest_indexer(const Parts& parts, std::size_t at) {
  Parts out(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(at));
  out.emplace_back("indexer");
  std::size_t rest = at + 2;
  if (rest < parts.size() && parts[rest] == "scorer") ++rest;  // newer releases
  if (rest < parts.size() && parts[rest] == "q_b_proj") {
    out.emplace_back("wq_b");
    ++rest;
  } else if (rest < parts.size() && parts[rest] != "weights_proj") {
    out.emplace_back("compressor");
    out.push_back(renamed(parts[rest], kCompressor));
    ++rest;
  }
  out.insert(out.end(), parts.begin() + static_cast<std::ptrdiff_t>(rest), parts.end());
  return out;
}

// parts[at] is the first part inside "attn".
Parts attention_parts(Parts parts, std::size_t at) {
  if (at >= parts.size()) return parts;
  if (parts[at] == "compressor" && at + 1 < parts.size()) {
    if (parts[at + 1] == "indexer") return unnest_indexer(parts, at);
    parts[at + 1] = renamed(parts[at + 1], kCompressor);
    return parts;
  }
  if (parts[at] == "indexer") {
    if (at + 2 < parts.size() && parts[at + 1] == "compressor") {
      parts[at + 2] = renamed(parts[at + 2], kCompressor);
    }
    return parts;
  }
  parts[at] = renamed(parts[at], kAttention);
  return parts;
}

// parts[at] is the first part inside "ffn".
void rename_ffn(Parts& parts, std::size_t at) {
  if (at + 1 >= parts.size()) return;
  if (parts[at] == "gate") parts[at + 1] = renamed(parts[at + 1], kGate);
  if (parts[at] == "shared_experts") parts[at + 1] = renamed(parts[at + 1], kExpert);
  if (parts[at] == "experts" && at + 2 < parts.size()) {
    parts[at + 2] = renamed(parts[at + 2], kExpert);
  }
}

bool is_fused_expert(const Parts& parts) {
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string_view next = parts[i + 1];
    if (parts[i] == "experts" &&
        (next.substr(0, 12) == "gate_up_proj" || next.substr(0, 9) == "down_proj")) {
      return true;
    }
  }
  return false;
}

// "attn_hc.fn" -> "hc_attn_fn", in place.
void join_hyper(Parts& parts, std::size_t at, std::string& storage) {
  if (at + 2 != parts.size()) return;
  if (parts[at] == "attn_hc" || parts[at] == "ffn_hc") {
    storage = "hc_" + std::string(parts[at].substr(0, parts[at].size() - 3)) + "_" +
              std::string(parts[at + 1]);
  } else if (parts[at] == "hc_head" && parts[at + 1].substr(0, 3) == "hc_") {
    storage = "hc_head_" + std::string(parts[at + 1].substr(3));
  } else {
    return;
  }
  parts.pop_back();
  parts[at] = storage;
}

Error relative(std::string_view stored, std::string_view means) {
  return {Code::kUnsupported, "Tensor " + json_quote(stored.substr(0, 200)) + " belongs to " +
                                  std::string(means) + ", which is not supported."};
}

Status refuse_relatives(std::string_view stored, const Parts& parts) {
  for (const std::string_view part : parts) {
    if (part.find("engram") != std::string_view::npos) {
      return relative(stored, "an Engram module (DeepSeek-V4.1)");
    }
    if (part == "vision" || part == "visual" || part == "vision_tower" || part == "vision_model" ||
        part == "mm_projector" || part == "projector") {
      return relative(stored, "a vision tower");
    }
  }
  if (parts[0] != "mtp" || parts.size() < 3) return {};
  if (parts[1] != "0" || parts[2] == "main_proj" || parts[2] == "main_norm" ||
      parts[2] == "confidence_head" || parts[2] == "markov_head") {
    return relative(stored, "a multi-stage drafter (checkpoints from 0731 on)");
  }
  return {};
}

}  // namespace

Result<std::string> canonical_name(std::string_view stored) {
  Parts parts = split(stored);
  if (parts.size() > 1 && parts[0] == "model") parts.erase(parts.begin());
  PLUMB_TRY_STATUS(refuse_relatives(stored, parts));
  if (is_fused_expert(parts)) {
    return Error{Code::kUnsupported,
                 "Tensor " + json_quote(stored.substr(0, 200)) +
                     " holds all experts of a layer in one; expected one tensor per expert, as "
                     "published. Save the model with the original format to get them."};
  }
  std::string hyper;  // owns what parts may point to
  parts.back() = renamed(parts.back(), kLeaf);
  const bool in_block = parts.size() > 2 && (parts[0] == "layers" || parts[0] == "mtp");
  if (!in_block) {
    parts[0] = renamed(parts[0], kGlobal);
    join_hyper(parts, 0, hyper);
    return join(parts);
  }
  parts[2] = renamed(parts[2], kBlock);
  if (parts[2] == "attn") parts = attention_parts(std::move(parts), 3);
  if (parts[2] == "ffn") rename_ffn(parts, 3);
  join_hyper(parts, 2, hyper);
  return join(parts);
}

}  // namespace plumb::deepseek_v4
