#include "model/deepseek_v4/bind.h"

#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "model/deepseek_v4/draft_head.h"
#include "model/deepseek_v4/inventory.h"
#include "model/deepseek_v4/rope.h"
#include "tensor/format.h"

namespace plumb::deepseek_v4 {
namespace {

// Looks parameters up and places them. The store has passed check_inventory(), so a parameter that the
// config asks for is there in its shape. The first error sticks; later calls do nothing.
class Binder {
 public:
  Binder(const WeightStore& store, const Config& config, Device& device, Weights& out,
         const LoadProgress& progress)
      : store_(store), config_(config), device_(device), out_(out), progress_(progress),
        total_(store.total_bytes()) {
    for (Parameter& p : inventory(config)) parameters_.emplace(p.name, std::move(p));
  }

  const Status& status() const { return status_; }

  WeightView matrix(const std::string& name, Placement placement = Placement::kResident) {
    const WeightView placed = place(view(name), placement);
    if (placement == Placement::kResident) done_with(name);
    return placed;
  }

  // The output head, and what drafts use for it: itself, or a smaller copy.
  std::pair<WeightView, WeightView> head(const std::string& name, bool with_copy) {
    const WeightView host = view(name);
    WeightView copy;
    if (status_ && with_copy) {
      auto made = place_draft_head(host, device_);
      if (!made) status_ = made.error();
      if (made) copy = *made;
    }
    const WeightView placed = place(host, Placement::kResident);
    done_with(name);
    return {placed, copy.data ? copy : placed};
  }

  // `parts` matrices of equal height, stacked in one tensor.
  std::vector<WeightView> stacked(const std::string& name, int parts) {
    std::vector<WeightView> views;
    const WeightView all = view(name);
    const int rows = all.rows / parts;
    const bool scaled = all.format.scale != ScaleType::kNone;
    if (status_ && scaled && rows % all.format.block_rows != 0) {
      status_ = Error{Code::kUnsupported,
                      "Tensor " + name + " has groups of " + std::to_string(rows) +
                          " rows, expected a multiple of the " +
                          std::to_string(all.format.block_rows) + " rows of its scale blocks."};
    }
    for (int p = 0; p < parts && status_; ++p) {
      WeightView part = all;
      part.rows = rows;
      part.data += row_bytes(all.format, all.cols) * rows * p;
      if (scaled) {
        part.scales += scale_bytes(all.format, rows, all.cols) * p;
      }
      views.push_back(place(part, Placement::kResident));
    }
    done_with(name);
    return views;
  }

  // A vector as floats in device memory.
  const float* vector(const std::string& name) {
    const WeightView host = view(name);
    if (!status_) return nullptr;
    std::vector<float> values(static_cast<std::size_t>(host.rows) * host.cols);
    for (int r = 0; r < host.rows; ++r) {
      dequantise(host, r, std::span(values).subspan(static_cast<std::size_t>(r) * host.cols, host.cols));
    }
    return reinterpret_cast<const float*>(keep(values.data(), values.size() * sizeof(float)));
  }

  const float* frequencies(AttentionKind kind) {
    const std::vector<float> freq = rope_frequencies(config_, kind);
    return reinterpret_cast<const float*>(keep(freq.data(), freq.size() * sizeof(float)));
  }

  // Expert ids of the hash router, checked to exist.
  const std::int64_t* table(const std::string& name) {
    if (!status_) return nullptr;
    const StoredTensor& t = *store_.find(name);
    std::vector<std::int64_t> ids(t.bytes / sizeof(std::int64_t));
    std::memcpy(ids.data(), store_.data(t).data(), t.bytes);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] >= 0 && ids[i] < config_.experts) continue;
      status_ = Error{Code::kCorrupt,
                      "Tensor " + name + " sends token " +
                          std::to_string(i / static_cast<std::size_t>(config_.experts_per_token)) +
                          " to expert " + std::to_string(ids[i]) + ", expected 0 to " +
                          std::to_string(config_.experts - 1) + "."};
      return nullptr;
    }
    count_done(t.bytes);
    return reinterpret_cast<const std::int64_t*>(keep(ids.data(), t.bytes));
  }

 private:
  // The published bytes of a parameter; a vector is one row.
  WeightView view(const std::string& name) {
    WeightView out;
    if (!status_) return out;
    const auto found = parameters_.find(name);
    PLUMB_CHECK(found != parameters_.end());
    const Parameter& p = found->second;
    auto format = stored_format(p, store_);
    if (!format) {
      status_ = format.error();
      return out;
    }
    const StoredTensor& data = *store_.find(name);
    out.data = store_.data(data).data();
    out.format = *format;
    out.cols = static_cast<int>(p.shape.back());
    out.rows = p.shape.size() > 1 ? static_cast<int>(p.shape.front()) : 1;
    count_done(data.bytes);
    if (format->scale != ScaleType::kNone) {
      const StoredTensor& scales = *store_.find(scale_name(p));
      out.scales = store_.data(scales).data();
      count_done(scales.bytes);
    }
    return out;
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

  // The device has its own copy: the published pages need not stay in memory beside it.
  void done_with(const std::string& name) {
    if (!status_) return;
    store_.release(*store_.find(name));
    const StoredTensor* scales = store_.find(scale_name(parameters_.at(name)));
    if (scales != nullptr) store_.release(*scales);
  }

  std::byte* keep(const void* data, std::size_t bytes) {
    auto buffer = device_.allocate(bytes);
    if (!buffer) {
      status_ = buffer.error();
      return nullptr;
    }
    device_.upload(buffer->data(), {static_cast<const std::byte*>(data), bytes});
    out_.storage.push_back(std::move(*buffer));
    return out_.storage.back().data();
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
  std::unordered_map<std::string, Parameter> parameters_;
  std::uint64_t total_ = 0, done_ = 0;
  Status status_;
};

HyperWeights bind_hyper(Binder& b, const std::string& prefix) {
  return {b.matrix(prefix + "_fn"), b.vector(prefix + "_base"), b.vector(prefix + "_scale")};
}

CompressorWeights bind_compressor(Binder& b, const std::string& p, int dim) {
  CompressorWeights w;
  w.wkv = b.matrix(p + "wkv.weight");
  w.wgate = b.matrix(p + "wgate.weight");
  w.ape = b.vector(p + "ape");
  w.norm = b.vector(p + "norm.weight");
  w.dim = dim;
  return w;
}

AttentionWeights bind_attention(Binder& b, const std::string& p, const Config& c,
                                const LayerConfig& layer) {
  AttentionWeights w;
  w.wq_a = b.matrix(p + "wq_a.weight");
  w.q_norm = b.vector(p + "q_norm.weight");
  w.wq_b = b.matrix(p + "wq_b.weight");
  w.wkv = b.matrix(p + "wkv.weight");
  w.kv_norm = b.vector(p + "kv_norm.weight");
  w.wo_a = b.stacked(p + "wo_a.weight", c.out_groups);
  w.wo_b = b.matrix(p + "wo_b.weight");
  w.sink = b.vector(p + "attn_sink");
  if (layer.attention == AttentionKind::kWindow) return w;
  w.compressor = bind_compressor(b, p + "compressor.", c.head_dim);
  if (layer.attention != AttentionKind::kSparse) return w;
  IndexerWeights index;
  index.wq_b = b.matrix(p + "indexer.wq_b.weight");
  index.weights_proj = b.matrix(p + "indexer.weights_proj.weight");
  index.compressor = bind_compressor(b, p + "indexer.compressor.", c.index_dim);
  w.indexer = index;
  return w;
}

ExpertWeights bind_expert(Binder& b, const std::string& p) {
  return {b.matrix(p + "w1.weight"), b.matrix(p + "w3.weight"), b.matrix(p + "w2.weight")};
}

FfnWeights bind_ffn(Binder& b, const std::string& p, const Config& c, RouterKind router) {
  FfnWeights w;
  w.gate = b.matrix(p + "gate.weight");
  if (router == RouterKind::kHash) {
    w.table = b.table(p + "gate.tid2eid");
  } else {
    w.bias = b.vector(p + "gate.bias");
  }
  for (int e = 0; e < c.experts && b.status(); ++e) {
    w.experts.push_back(bind_expert(b, p + "experts." + std::to_string(e) + "."));
  }
  w.shared = bind_expert(b, p + "shared_experts.");
  return w;
}

LayerWeights bind_layer(Binder& b, const std::string& p, const Config& c, const LayerConfig& layer) {
  LayerWeights w;
  w.config = layer;
  w.hc_attn = bind_hyper(b, p + "hc_attn");
  w.attn_norm = b.vector(p + "attn_norm.weight");
  w.attn = bind_attention(b, p + "attn.", c, layer);
  w.hc_ffn = bind_hyper(b, p + "hc_ffn");
  w.ffn_norm = b.vector(p + "ffn_norm.weight");
  w.ffn = bind_ffn(b, p + "ffn.", c, layer.router);
  w.freq = b.frequencies(layer.attention);
  return w;
}

DraftWeights bind_draft(Binder& b, const Config& c) {
  const std::string p = "mtp.0.";
  DraftWeights w;
  w.layer = bind_layer(b, p, c, {AttentionKind::kWindow, 0, RouterKind::kScore});
  w.e_proj = b.matrix(p + "e_proj.weight");
  w.h_proj = b.matrix(p + "h_proj.weight");
  w.enorm = b.vector(p + "enorm.weight");
  w.hnorm = b.vector(p + "hnorm.weight");
  w.norm = b.vector(p + "norm.weight");
  w.hc_head = bind_hyper(b, p + "hc_head");
  return w;
}

}  // namespace

Result<Weights> bind(const WeightStore& store, const Config& config, Device& device, bool with_draft,
                     bool quick_drafts, const LoadProgress& progress) {
  PLUMB_TRY_STATUS(check_inventory(config, store));
  Weights w;
  Binder b(store, config, device, w, progress);
  w.embed = b.matrix("embed.weight", Placement::kMapped);
  for (std::size_t i = 0; i < config.layers.size() && b.status(); ++i) {
    w.layers.push_back(bind_layer(b, "layers." + std::to_string(i) + ".", config, config.layers[i]));
  }
  w.hc_head = bind_hyper(b, "hc_head");
  w.norm = b.vector("norm.weight");
  const auto [head, draft_head] = b.head("head.weight", with_draft && quick_drafts);
  w.head = head;
  if (with_draft) {
    w.draft = bind_draft(b, config);
    w.draft->head = draft_head;
  }
  if (!b.status()) return b.status().error();
  return w;
}

}  // namespace plumb::deepseek_v4
