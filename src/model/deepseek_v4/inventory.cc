#include "model/deepseek_v4/inventory.h"

#include <optional>
#include <unordered_set>
#include <utility>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "tensor/format.h"

namespace plumb::deepseek_v4 {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::string_view kWeight = ".weight";

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Collects parameters under a prefix; everything under "mtp." belongs to the draft block.
class Collector {
 public:
  Collector(const Config& config, std::vector<Parameter>& out) : c_(config), out_(out) {}

  void trunk() {
    matrix("embed.weight", Part::kEmbedding, Storage::kBF16, c_.vocab, c_.dim);
    for (std::size_t i = 0; i < c_.layers.size(); ++i) {
      prefix_ = "layers." + std::to_string(i) + ".";
      block(c_.layers[i]);
    }
    prefix_.clear();
    vector("norm.weight", Part::kNorms, Storage::kBF16, c_.dim);
    hyper_head();
    matrix("head.weight", Part::kHead, Storage::kBF16, c_.vocab, c_.dim);
  }

  void draft() {
    prefix_ = "mtp.0.";
    draft_ = true;
    block(LayerConfig{});
    linear("e_proj.weight", Part::kDraft, c_.dim, c_.dim);
    linear("h_proj.weight", Part::kDraft, c_.dim, c_.dim);
    for (const char* norm : {"enorm.weight", "hnorm.weight", "norm.weight"}) {
      vector(norm, Part::kDraft, Storage::kBF16, c_.dim);
    }
    hyper_head();
  }

 private:
  void add(const std::string& name, Part part, Storage storage, Shape shape) {
    out_.push_back({prefix_ + name, draft_ ? Part::kDraft : part, storage, std::move(shape)});
  }
  void vector(const std::string& name, Part part, Storage storage, std::int64_t n) {
    add(name, part, storage, {n});
  }
  void matrix(const std::string& name, Part part, Storage storage, std::int64_t rows,
              std::int64_t cols) {
    add(name, part, storage, {rows, cols});
  }
  void linear(const std::string& name, Part part, std::int64_t rows, std::int64_t cols) {
    matrix(name, part, Storage::kLinear, rows, cols);
  }

  void hyper(const std::string& name, std::int64_t mixes, std::int64_t scales) {
    matrix(name + "_fn", Part::kHyper, Storage::kF32, mixes, std::int64_t{c_.hc} * c_.dim);
    vector(name + "_base", Part::kHyper, Storage::kF32, mixes);
    vector(name + "_scale", Part::kHyper, Storage::kF32, scales);
  }
  void hyper_head() { hyper("hc_head", c_.hc, 1); }

  void block(const LayerConfig& layer) {
    hyper("hc_attn", c_.mix_dim(), 3);
    vector("attn_norm.weight", Part::kNorms, Storage::kBF16, c_.dim);
    attention();
    if (layer.compressed()) compressor("attn.compressor.", Part::kCompressor, layer, c_.head_dim);
    if (layer.indexed()) indexer(layer);
    hyper("hc_ffn", c_.mix_dim(), 3);
    vector("ffn_norm.weight", Part::kNorms, Storage::kBF16, c_.dim);
    ffn(layer.router);
  }

  void attention() {
    vector("attn.attn_sink", Part::kAttention, Storage::kF32, c_.heads);
    linear("attn.wq_a.weight", Part::kAttention, c_.q_rank, c_.dim);
    vector("attn.q_norm.weight", Part::kNorms, Storage::kBF16, c_.q_rank);
    linear("attn.wq_b.weight", Part::kAttention, std::int64_t{c_.heads} * c_.head_dim, c_.q_rank);
    linear("attn.wkv.weight", Part::kAttention, c_.head_dim, c_.dim);
    vector("attn.kv_norm.weight", Part::kNorms, Storage::kBF16, c_.head_dim);
    const std::int64_t ranks = std::int64_t{c_.out_groups} * c_.out_rank;
    linear("attn.wo_a.weight", Part::kAttention, ranks, c_.group_dim());
    linear("attn.wo_b.weight", Part::kAttention, c_.dim, ranks);
  }

  void compressor(const std::string& name, Part part, const LayerConfig& layer, std::int64_t dim) {
    const std::int64_t channels = layer.halves() * dim;
    matrix(name + "ape", part, Storage::kF32, layer.ratio, channels);
    matrix(name + "wkv.weight", part, Storage::kBF16, channels, c_.dim);
    matrix(name + "wgate.weight", part, Storage::kBF16, channels, c_.dim);
    vector(name + "norm.weight", part, Storage::kBF16, dim);
  }

  void indexer(const LayerConfig& layer) {
    const std::int64_t width = std::int64_t{c_.index_heads} * c_.index_dim;
    linear("attn.indexer.wq_b.weight", Part::kIndexer, width, c_.q_rank);
    matrix("attn.indexer.weights_proj.weight", Part::kIndexer, Storage::kBF16, c_.index_heads,
           c_.dim);
    compressor("attn.indexer.compressor.", Part::kIndexer, layer, c_.index_dim);
  }

  void expert(const std::string& name, Part part, Storage storage) {
    matrix(name + ".w1.weight", part, storage, c_.expert_dim, c_.dim);
    matrix(name + ".w2.weight", part, storage, c_.dim, c_.expert_dim);
    matrix(name + ".w3.weight", part, storage, c_.expert_dim, c_.dim);
  }

  void ffn(RouterKind router) {
    matrix("ffn.gate.weight", Part::kRouter, Storage::kBF16, c_.experts, c_.dim);
    if (router == RouterKind::kHash) {
      matrix("ffn.gate.tid2eid", Part::kRouter, Storage::kIds, c_.vocab, c_.experts_per_token);
    } else {
      vector("ffn.gate.bias", Part::kRouter, Storage::kF32, c_.experts);
    }
    for (int e = 0; e < c_.experts; ++e) {
      expert("ffn.experts." + std::to_string(e), Part::kExperts, Storage::kExpert);
    }
    expert("ffn.shared_experts", Part::kSharedExpert, Storage::kLinear);
  }

  const Config& c_;
  std::vector<Parameter>& out_;
  std::string prefix_;
  bool draft_ = false;
};

std::int64_t count_of(const Parameter& p) {
  std::int64_t count = 1;
  for (const std::int64_t extent : p.shape) count *= extent;
  return count;
}

// The shape a tensor of `format` is stored with.
Shape data_shape(const Parameter& p, const Format& format) {
  Shape shape = p.shape;
  if (format.element == Element::kF4E2M1) shape.back() /= 2;
  return shape;
}

Shape scale_shape(const Parameter& p, const Format& format) {
  return {ceil_div(p.shape[0], format.block_rows), ceil_div(p.shape[1], format.block_cols)};
}

Error corrupt(const std::string& name, const std::string& is, const std::string& expected) {
  return {Code::kCorrupt, "Tensor " + name + " is " + is + ", expected " + expected + "."};
}

std::string describe(const std::string& dtype, const Shape& shape) {
  return dtype + " " + shape_text(shape);
}

std::string accepted(Storage storage) {
  switch (storage) {
    case Storage::kExpert:
      return "I8 (packed FP4), F8_E4M3, BF16, F16 or F32";
    case Storage::kLinear:
      return "F8_E4M3, BF16, F16 or F32";
    case Storage::kIds:
      return "I64";
    default:
      return "BF16, F16 or F32";
  }
}

std::optional<Format> format_of(const Parameter& p, std::optional<Element> element) {
  if (!element) return std::nullopt;
  const bool ids = p.storage == Storage::kIds;
  const bool quantised = p.storage == Storage::kLinear || p.storage == Storage::kExpert;
  switch (*element) {
    case Element::kF32:
      return ids ? std::nullopt : std::optional(kFormatF32);
    case Element::kBF16:
      return ids ? std::nullopt : std::optional(kFormatBF16);
    case Element::kF16:
      return ids ? std::nullopt : std::optional(kFormatF16);
    case Element::kF8E4M3:
      return quantised ? std::optional(kFormatF8Block128) : std::nullopt;
    case Element::kI8:
      return p.storage == Storage::kExpert && p.shape[1] % kFormatMxF4.block_cols == 0
                 ? std::optional(kFormatMxF4)
                 : std::nullopt;
    case Element::kI64:
      return ids ? std::optional(Format{Element::kI64, ScaleType::kNone, 0, 0}) : std::nullopt;
    default:
      return std::nullopt;
  }
}

// Says how far a store and the inventory are apart when they hold different names.
Status check_no_strangers(const std::vector<Parameter>& all, const WeightStore& store) {
  std::unordered_set<std::string> known;
  for (const Parameter& p : all) {
    known.insert(p.name);
    known.insert(scale_name(p));
  }
  std::size_t strangers = 0;
  const StoredTensor* first = nullptr;
  for (const StoredTensor& t : store.tensors()) {
    if (known.count(t.name)) continue;
    if (first == nullptr) first = &t;
    ++strangers;
  }
  if (strangers == 0) return {};
  return Error{Code::kCorrupt, "The checkpoint holds " + std::to_string(strangers) +
                                   " tensors that its config does not explain, the first is " +
                                   json_quote(first->name) + " (" +
                                   describe(first->dtype, first->shape) + ")."};
}

Status check_none_missing(const std::vector<Parameter>& all, const WeightStore& store) {
  std::size_t missing = 0;
  const Parameter* first = nullptr;
  for (const Parameter& p : all) {
    if (store.find(p.name) != nullptr) continue;
    if (first == nullptr) first = &p;
    ++missing;
  }
  if (missing == 0) return {};
  return Error{Code::kCorrupt, "The checkpoint lacks " + std::to_string(missing) +
                                   " tensors that its config asks for, the first is \"" +
                                   first->name + "\" (expected " + shape_text(first->shape) + ")."};
}

void add_to(Total& sum, const Total& one) {
  sum.tensors += one.tensors;
  sum.bytes += one.bytes;
  sum.parameters += one.parameters;
}

// What one token meets: every part once, but of the routed experts only the chosen ones (they are
// equal in size) and of the embedding and the tables of experts one row, not counted.
void count_active(const Config& c, std::uint64_t table_bytes, Totals& totals) {
  for (int i = 0; i < kParts; ++i) {
    const Total& part = totals.parts[static_cast<std::size_t>(i)];
    if (i == static_cast<int>(Part::kDraft)) continue;
    totals.trunk_parameters += part.parameters;
    if (i == static_cast<int>(Part::kEmbedding)) continue;
    const bool routed = i == static_cast<int>(Part::kExperts);
    const auto experts = static_cast<std::uint64_t>(c.experts);
    totals.active_parameters +=
        routed ? part.parameters / experts * static_cast<std::uint64_t>(c.experts_per_token)
               : part.parameters;
    if (routed) {
      totals.expert_bytes = part.bytes / (experts * c.layers.size());
    } else {
      totals.step_bytes += part.bytes;
    }
  }
  totals.step_bytes -= table_bytes;
  const auto chosen = static_cast<std::uint64_t>(c.experts_per_token);
  totals.active_bytes = totals.step_bytes + c.layers.size() * chosen * totals.expert_bytes;
  totals.lookup_bytes =
      totals.parts[static_cast<int>(Part::kEmbedding)].bytes / static_cast<std::uint64_t>(c.vocab) +
      table_bytes / static_cast<std::uint64_t>(c.vocab);
}

}  // namespace

std::string_view part_name(Part part) {
  constexpr std::array<std::string_view, kParts> kNames = {
      "embedding",     "output head",      "norms",
      "mHC",           "attention",        "compressors",
      "indexer",       "router",           "routed experts",
      "shared expert", "draft block (MTP)"};
  return kNames[static_cast<std::size_t>(part)];
}

std::string scale_name(const Parameter& p) {
  const bool weight = p.name.size() > kWeight.size() &&
                      p.name.compare(p.name.size() - kWeight.size(), kWeight.size(), kWeight) == 0;
  return (weight ? p.name.substr(0, p.name.size() - kWeight.size()) : p.name) + ".scale";
}

std::vector<Parameter> inventory(const Config& config) {
  std::vector<Parameter> all;
  Collector collector(config, all);
  collector.trunk();
  if (config.mtp_layers > 0) collector.draft();
  return all;
}

Result<Format> stored_format(const Parameter& p, const WeightStore& store) {
  const StoredTensor* tensor = store.find(p.name);
  if (tensor == nullptr) {
    return Error{Code::kCorrupt, "Tensor " + p.name + " is missing from the checkpoint."};
  }
  const auto format = format_of(p, tensor->element);
  if (!format) return corrupt(p.name, describe(tensor->dtype, tensor->shape), accepted(p.storage));
  const Shape want = data_shape(p, *format);
  if (tensor->shape != want) {
    return corrupt(p.name, describe(tensor->dtype, tensor->shape), shape_text(want));
  }
  const std::string name = scale_name(p);
  const StoredTensor* scale = store.find(name);
  if (format->scale == ScaleType::kNone) {
    if (scale == nullptr) return *format;
    return Error{Code::kCorrupt, "Tensor " + name + " has no use: " + p.name + " is stored as " +
                                     tensor->dtype + ", which takes no scale."};
  }
  const Shape want_scale = scale_shape(p, *format);
  if (scale == nullptr) {
    return Error{Code::kCorrupt, "Tensor " + name + " is missing: " + p.name + " is stored as " +
                                     tensor->dtype + " and needs scales " + shape_text(want_scale) +
                                     "."};
  }
  if (scale->element != Element::kF8E8M0 || scale->shape != want_scale) {
    return corrupt(name, describe(scale->dtype, scale->shape), describe("F8_E8M0", want_scale));
  }
  return *format;
}

Result<Totals> check_inventory(const Config& config, const WeightStore& store) {
  const std::vector<Parameter> all = inventory(config);
  PLUMB_TRY_STATUS(check_none_missing(all, store));
  PLUMB_TRY_STATUS(check_no_strangers(all, store));
  Totals totals;
  std::uint64_t table_bytes = 0;
  bool seen_expert = false, seen_linear = false;
  for (const Parameter& p : all) {
    PLUMB_TRY(format, stored_format(p, store));
    if (p.storage == Storage::kExpert && !std::exchange(seen_expert, true)) {
      totals.expert_format = format;
    }
    if (p.storage == Storage::kLinear && !std::exchange(seen_linear, true)) {
      totals.linear_format = format;
    }
    Total one{1, store.find(p.name)->bytes, 0};
    if (format.scale != ScaleType::kNone) {
      one.bytes += store.find(scale_name(p))->bytes;
      ++one.tensors;
    }
    if (p.storage == Storage::kIds) {
      table_bytes += one.bytes;
    } else {
      one.parameters = static_cast<std::uint64_t>(count_of(p));
    }
    add_to(totals.parts[static_cast<std::size_t>(p.part)], one);
    add_to(totals.all, one);
  }
  count_active(config, table_bytes, totals);
  return totals;
}

std::vector<PublishedTensor> published_tensors(const std::vector<Parameter>& all,
                                               ExpertFormat experts) {
  std::vector<PublishedTensor> out;
  out.reserve(2 * all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Parameter& p = all[i];
    const int index = static_cast<int>(i);
    const bool fp4 = p.storage == Storage::kExpert && experts == ExpertFormat::kFp4;
    if (p.storage == Storage::kLinear || p.storage == Storage::kExpert) {
      const Format format = fp4 ? kFormatMxF4 : kFormatF8Block128;
      out.push_back(
          {p.name, fp4 ? Element::kI8 : Element::kF8E4M3, data_shape(p, format), index, false});
      out.push_back({scale_name(p), Element::kF8E8M0, scale_shape(p, format), index, true});
      continue;
    }
    Element element = Element::kBF16;
    if (p.storage == Storage::kF32) element = Element::kF32;
    if (p.storage == Storage::kIds) element = Element::kI64;
    out.push_back({p.name, element, p.shape, index, false});
  }
  return out;
}

}  // namespace plumb::deepseek_v4
