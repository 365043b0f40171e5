#include "model/deepseek_v4/bind.h"

#include <cstring>
#include <string>

#include "base/check.h"
#include "checkpoint/safetensors.h"
#include "model/deepseek_v4/rope.h"
#include "tensor/number.h"

namespace plumb::deepseek_v4 {
namespace {

std::string shape_of(std::initializer_list<std::int64_t> dims) {
  std::string out = "[";
  for (std::int64_t d : dims) out += (out.size() > 1 ? ", " : "") + std::to_string(d);
  return out + "]";
}

// Looks tensors up, checks them, places them. The first error sticks; later calls do nothing.
class Binder {
 public:
  Binder(const WeightStore& store, const Config& config, Device& device, Weights& out,
         const LoadProgress& progress)
      : store_(store), config_(config), device_(device), out_(out), progress_(progress),
        total_(store.total_bytes()) {}

  const Status& status() const { return status_; }

  // A matrix [rows, cols] in any format the published checkpoints use.
  WeightView matrix(const std::string& name, int rows, int cols, Placement placement) {
    const WeightView host = lookup(name, rows, cols);
    return place(host, placement);
  }

  // `parts` matrices of equal height, stacked in one tensor [parts * rows, cols].
  std::vector<WeightView> stacked(const std::string& name, int parts, int rows, int cols) {
    std::vector<WeightView> views;
    const WeightView all = lookup(name, parts * rows, cols);
    if (!status_) return views;
    const bool scaled = all.format.scale != ScaleType::kNone;
    if (scaled && rows % all.format.block_rows != 0) {
      fail(name + " has groups of " + std::to_string(rows) + " rows, which must be a multiple of its " +
           std::to_string(all.format.block_rows) + "-row scale blocks.");
      return views;
    }
    for (int p = 0; p < parts; ++p) {
      WeightView part = all;
      part.rows = rows;
      part.data += row_bytes(all) * rows * p;
      if (scaled) {
        const int per_row = (cols + all.format.block_cols - 1) / all.format.block_cols;
        part.scales += scale_bytes(all.format.scale) * per_row * (rows / all.format.block_rows) * p;
      }
      views.push_back(place(part, Placement::kResident));
    }
    return views;
  }

  // A vector of `n` numbers as floats in device memory.
  const float* vector(const std::string& name, std::int64_t n) {
    const StoredTensor* t = find(name);
    if (!t) return nullptr;
    std::int64_t count = 1;
    for (std::int64_t dim : t->shape) count *= dim;
    if (count != n) {
      fail(name + " has " + std::to_string(count) + " elements, expected " + std::to_string(n) + ".");
      return nullptr;
    }
    if (!t->element || (*t->element != Element::kF32 && *t->element != Element::kBF16 &&
                        *t->element != Element::kF16)) {
      fail(name + " is stored as " + t->dtype + ", expected F32, BF16 or F16.");
      return nullptr;
    }
    std::vector<float> values(n);
    const std::byte* data = store_.data(*t).data();
    for (std::int64_t i = 0; i < n; ++i) values[i] = number_at(*t->element, data, i);
    count_done(t->bytes);
    return keep(values.data(), values.size() * sizeof(float));
  }

  const float* frequencies(AttentionKind kind) {
    const std::vector<float> freq = rope_frequencies(config_, kind);
    return keep(freq.data(), freq.size() * sizeof(float));
  }

  // Expert ids of the hash router, checked to exist.
  const std::int64_t* table(const std::string& name, int rows, int cols) {
    const StoredTensor* t = find(name);
    if (!t) return nullptr;
    if (t->element != Element::kI64 || t->shape != std::vector<std::int64_t>{rows, cols}) {
      fail(name + " is " + t->dtype + " " + shape_text(t->shape) + ", expected I64 " +
           shape_of({rows, cols}) + ".");
      return nullptr;
    }
    std::vector<std::int64_t> ids(static_cast<std::size_t>(rows) * cols);
    std::memcpy(ids.data(), store_.data(*t).data(), t->bytes);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= config_.experts) {
        fail(name + " sends token " + std::to_string(i / cols) + " to expert " + std::to_string(ids[i]) +
             ", expected 0 to " + std::to_string(config_.experts - 1) + ".");
        return nullptr;
      }
    }
    count_done(t->bytes);
    return reinterpret_cast<const std::int64_t*>(keep(ids.data(), ids.size() * sizeof(std::int64_t)));
  }

 private:
  static float number_at(Element element, const std::byte* data, std::int64_t i) {
    std::uint32_t bits32;
    std::uint16_t bits16;
    if (element == Element::kF32) {
      std::memcpy(&bits32, data + 4 * i, 4);
      float value;
      std::memcpy(&value, &bits32, 4);
      return value;
    }
    std::memcpy(&bits16, data + 2 * i, 2);
    return element == Element::kBF16 ? bf16_to_float(bits16) : f16_to_float(bits16);
  }

  static std::size_t scale_bytes(ScaleType type) { return type == ScaleType::kF32 ? 4 : 1; }
  static std::size_t row_bytes(const WeightView& w) {
    switch (w.format.element) {
      case Element::kF32: return static_cast<std::size_t>(w.cols) * 4;
      case Element::kBF16:
      case Element::kF16: return static_cast<std::size_t>(w.cols) * 2;
      case Element::kF4E2M1: return static_cast<std::size_t>(w.cols) / 2;
      default: return static_cast<std::size_t>(w.cols);
    }
  }

  void fail(std::string message, Code code = Code::kCorrupt) {
    if (status_) status_ = Error{code, "Tensor " + std::move(message)};
  }

  const StoredTensor* find(const std::string& name) {
    if (!status_) return nullptr;
    const StoredTensor* t = store_.find(name);
    if (!t) fail(name + " is missing from the checkpoint.");
    return t;
  }

  WeightView lookup(const std::string& name, int rows, int cols) {
    WeightView view;
    view.rows = rows;
    view.cols = cols;
    if (!status_) return view;
    // hc_attn_fn and its kin carry no ".weight".
    const StoredTensor* bare = store_.find(name);
    const StoredTensor* t = bare ? bare : find(name + ".weight");
    if (!t) return view;
    const bool packed = t->element == Element::kI8 || t->element == Element::kF4E2M1;
    if (packed && cols % 2 != 0) {
      fail(t->name + " packs two numbers a byte, so its width " + std::to_string(cols) +
           " must be even.");
      return view;
    }
    const std::int64_t stored_cols = packed ? cols / 2 : cols;
    if (t->shape != std::vector<std::int64_t>{rows, stored_cols}) {
      fail(t->name + " is " + shape_text(t->shape) + ", expected " + shape_of({rows, stored_cols}) + ".");
      return view;
    }
    view.data = store_.data(*t).data();
    if (packed) {
      view.format = kFormatMxF4;
    } else if (t->element == Element::kF8E4M3) {
      view.format = {Element::kF8E4M3, ScaleType::kE8M0, config_.block_rows, config_.block_cols};
    } else if (t->element == Element::kF32 || t->element == Element::kBF16 || t->element == Element::kF16) {
      view.format = {*t->element, ScaleType::kNone, 0, 0};
    } else {
      fail(t->name + " is stored as " + t->dtype + ", expected F8_E4M3, I8 (packed FP4), BF16, F16 or F32.");
      return view;
    }
    if (view.format.scale != ScaleType::kNone) find_scales(name + ".scale", view);
    count_done(t->bytes);
    return view;
  }

  void find_scales(const std::string& name, WeightView& view) {
    const StoredTensor* t = find(name);
    if (!t) return;
    const std::int64_t rows = (view.rows + view.format.block_rows - 1) / view.format.block_rows;
    const std::int64_t cols = (view.cols + view.format.block_cols - 1) / view.format.block_cols;
    if (t->shape != std::vector<std::int64_t>{rows, cols}) {
      fail(name + " is " + shape_text(t->shape) + ", expected " + shape_of({rows, cols}) + ".");
      return;
    }
    if (t->element != Element::kF8E8M0 && t->element != Element::kF32) {
      fail(name + " is stored as " + t->dtype + ", expected F8_E8M0 or F32.");
      return;
    }
    view.format.scale = t->element == Element::kF32 ? ScaleType::kF32 : ScaleType::kE8M0;
    view.scales = store_.data(*t).data();
    count_done(t->bytes);
  }

  WeightView place(const WeightView& host, Placement placement) {
    if (!status_) return host;
    auto placed = device_.place(host, placement);
    if (!placed) {
      status_ = placed.error();
      return host;
    }
    return *placed;
  }

  const float* keep(const void* data, std::size_t bytes) {
    auto buffer = device_.allocate(bytes);
    if (!buffer) {
      status_ = buffer.error();
      return nullptr;
    }
    device_.upload(buffer->data(), {static_cast<const std::byte*>(data), bytes});
    out_.storage.push_back(std::move(*buffer));
    return reinterpret_cast<const float*>(out_.storage.back().data());
  }

  void count_done(std::uint64_t bytes) {
    done_ += bytes;
    if (progress_ && status_ && !progress_(done_, total_)) {
      status_ = Error{Code::kCancelled, "Loading the model was interrupted."};
    }
  }

  const WeightStore& store_;
  const Config& config_;
  Device& device_;
  Weights& out_;
  const LoadProgress& progress_;
  std::uint64_t total_ = 0, done_ = 0;
  Status status_;
};

HyperWeights bind_hyper(Binder& b, const std::string& prefix, int mixes, int scales, int width) {
  HyperWeights hc;
  hc.fn = b.matrix(prefix + "_fn", mixes, width, Placement::kResident);
  hc.base = b.vector(prefix + "_base", mixes);
  hc.scale = b.vector(prefix + "_scale", scales);
  return hc;
}

CompressorWeights bind_compressor(Binder& b, const std::string& prefix, const Config& c, int ratio,
                                  int halves, int dim) {
  CompressorWeights w;
  w.wkv = b.matrix(prefix + "wkv", halves * dim, c.dim, Placement::kResident);
  w.wgate = b.matrix(prefix + "wgate", halves * dim, c.dim, Placement::kResident);
  w.ape = b.vector(prefix + "ape", static_cast<std::int64_t>(ratio) * halves * dim);
  w.norm = b.vector(prefix + "norm.weight", dim);
  w.dim = dim;
  return w;
}

AttentionWeights bind_attention(Binder& b, const std::string& p, const Config& c,
                                const LayerConfig& layer) {
  AttentionWeights w;
  w.wq_a = b.matrix(p + "wq_a", c.q_rank, c.dim, Placement::kResident);
  w.q_norm = b.vector(p + "q_norm.weight", c.q_rank);
  w.wq_b = b.matrix(p + "wq_b", c.heads * c.head_dim, c.q_rank, Placement::kResident);
  w.wkv = b.matrix(p + "wkv", c.head_dim, c.dim, Placement::kResident);
  w.kv_norm = b.vector(p + "kv_norm.weight", c.head_dim);
  w.wo_a = b.stacked(p + "wo_a", c.out_groups, c.out_rank, c.heads / c.out_groups * c.head_dim);
  w.wo_b = b.matrix(p + "wo_b", c.dim, c.out_groups * c.out_rank, Placement::kResident);
  w.sink = b.vector(p + "attn_sink", c.heads);
  if (layer.attention == AttentionKind::kWindow) return w;
  const int halves = layer.attention == AttentionKind::kSparse ? 2 : 1;
  w.compressor = bind_compressor(b, p + "compressor.", c, layer.ratio, halves, c.head_dim);
  if (layer.attention != AttentionKind::kSparse) return w;
  IndexerWeights index;
  index.wq_b = b.matrix(p + "indexer.wq_b", c.index_heads * c.index_dim, c.q_rank, Placement::kResident);
  index.weights_proj = b.matrix(p + "indexer.weights_proj", c.index_heads, c.dim, Placement::kResident);
  index.compressor = bind_compressor(b, p + "indexer.compressor.", c, layer.ratio, halves, c.index_dim);
  w.indexer = index;
  return w;
}

ExpertWeights bind_expert(Binder& b, const std::string& p, const Config& c) {
  ExpertWeights w;
  w.w1 = b.matrix(p + "w1", c.expert_dim, c.dim, Placement::kResident);
  w.w3 = b.matrix(p + "w3", c.expert_dim, c.dim, Placement::kResident);
  w.w2 = b.matrix(p + "w2", c.dim, c.expert_dim, Placement::kResident);
  return w;
}

FfnWeights bind_ffn(Binder& b, const std::string& p, const Config& c, RouterKind router) {
  FfnWeights w;
  w.gate = b.matrix(p + "gate", c.experts, c.dim, Placement::kResident);
  if (router == RouterKind::kHash) {
    w.table = b.table(p + "gate.tid2eid", c.vocab, c.experts_per_token);
  } else {
    w.bias = b.vector(p + "gate.bias", c.experts);
  }
  for (int e = 0; e < c.experts && b.status(); ++e) {
    w.experts.push_back(bind_expert(b, p + "experts." + std::to_string(e) + ".", c));
  }
  w.shared = bind_expert(b, p + "shared_experts.", c);
  return w;
}

LayerWeights bind_layer(Binder& b, const std::string& p, const Config& c, const LayerConfig& layer) {
  const int mixes = (2 + c.hc) * c.hc;
  LayerWeights w;
  w.config = layer;
  w.hc_attn = bind_hyper(b, p + "hc_attn", mixes, 3, c.hc * c.dim);
  w.attn_norm = b.vector(p + "attn_norm.weight", c.dim);
  w.attn = bind_attention(b, p + "attn.", c, layer);
  w.hc_ffn = bind_hyper(b, p + "hc_ffn", mixes, 3, c.hc * c.dim);
  w.ffn_norm = b.vector(p + "ffn_norm.weight", c.dim);
  w.ffn = bind_ffn(b, p + "ffn.", c, layer.router);
  w.freq = b.frequencies(layer.attention);
  return w;
}

DraftWeights bind_draft(Binder& b, const Config& c) {
  const std::string p = "mtp.0.";
  DraftWeights w;
  w.layer = bind_layer(b, p, c, {AttentionKind::kWindow, 0, RouterKind::kScore});
  w.e_proj = b.matrix(p + "e_proj", c.dim, c.dim, Placement::kResident);
  w.h_proj = b.matrix(p + "h_proj", c.dim, c.dim, Placement::kResident);
  w.enorm = b.vector(p + "enorm.weight", c.dim);
  w.hnorm = b.vector(p + "hnorm.weight", c.dim);
  w.norm = b.vector(p + "norm.weight", c.dim);
  w.hc_head = bind_hyper(b, p + "hc_head", c.hc, 1, c.hc * c.dim);
  return w;
}

}  // namespace

Result<Weights> bind(const WeightStore& store, const Config& config, Device& device, bool with_draft,
                     const LoadProgress& progress) {
  Weights w;
  Binder b(store, config, device, w, progress);
  w.embed = b.matrix("embed", config.vocab, config.dim, Placement::kMapped);
  for (std::size_t i = 0; i < config.layers.size() && b.status(); ++i) {
    w.layers.push_back(bind_layer(b, "layers." + std::to_string(i) + ".", config, config.layers[i]));
  }
  w.hc_head = bind_hyper(b, "hc_head", config.hc, 1, config.hc * config.dim);
  w.norm = b.vector("norm.weight", config.dim);
  w.head = b.matrix("head", config.vocab, config.dim, Placement::kResident);
  if (with_draft) w.draft = bind_draft(b, config);
  if (!b.status()) return b.status().error();
  return w;
}

}  // namespace plumb::deepseek_v4
