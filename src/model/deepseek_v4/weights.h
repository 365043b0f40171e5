// The bound weights of one checkpoint, in the paper's letters. Views and pointers live as long as the
// device and the store they were bound from.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "device/device.h"
#include "device/kernels.h"
#include "model/deepseek_v4/config.h"

namespace plumb::deepseek_v4 {

struct HyperWeights {
  WeightView fn;                // [(2 + hc) * hc, hc * d], F32; the head's: [hc, hc * d]
  const float* base = nullptr;  // [(2 + hc) * hc]; the head's: [hc]
  const float* scale = nullptr; // [3]; the head's: [1]
};

struct CompressorWeights {
  WeightView wkv, wgate;        // [c * D, d]
  const float* ape = nullptr;   // [ratio, c * D]
  const float* norm = nullptr;  // [D]
  int dim = 0;                  // D
};

struct IndexerWeights {
  WeightView wq_b;              // [index_heads * index_dim, q_rank]
  WeightView weights_proj;      // [index_heads, d]
  CompressorWeights compressor;
};

struct AttentionWeights {
  WeightView wq_a, wq_b, wkv;   // [q_rank, d], [heads * head_dim, q_rank], [head_dim, d]
  std::vector<WeightView> wo_a; // per group [out_rank, heads / groups * head_dim]
  WeightView wo_b;              // [d, groups * out_rank]
  const float* q_norm = nullptr;   // [q_rank]
  const float* kv_norm = nullptr;  // [head_dim]
  const float* sink = nullptr;     // [heads]
  std::optional<CompressorWeights> compressor;  // kSparse, kHeavy
  std::optional<IndexerWeights> indexer;        // kSparse
};

struct FfnWeights {
  WeightView gate;                          // [experts, d]
  const float* bias = nullptr;              // [experts], kScore
  const std::int64_t* table = nullptr;      // [vocab, k], kHash
  std::vector<ExpertWeights> experts;
  ExpertWeights shared;
};

struct LayerWeights {
  LayerConfig config;
  HyperWeights hc_attn, hc_ffn;
  const float* attn_norm = nullptr;  // [d]
  const float* ffn_norm = nullptr;   // [d]
  const float* freq = nullptr;       // [rope_dim / 2], of this layer's rotation
  AttentionWeights attn;
  FfnWeights ffn;
};

// The MTP block: what it adds to a layer (spec 2.10).
struct DraftWeights {
  WeightView e_proj, h_proj;         // [d, d]
  const float *enorm = nullptr, *hnorm = nullptr, *norm = nullptr;  // [d]
  HyperWeights hc_head;
  WeightView head;                   // [vocab, d]: the trunk's, or a smaller copy of it
  LayerWeights layer;
};

struct Weights {
  WeightView embed, head;            // [vocab, d]
  const float* norm = nullptr;       // [d]
  HyperWeights hc_head;
  std::vector<LayerWeights> layers;
  std::optional<DraftWeights> draft;

  std::vector<Buffer> storage;       // of vectors; matrices are the device's or the store's
};

}  // namespace plumb::deepseek_v4
