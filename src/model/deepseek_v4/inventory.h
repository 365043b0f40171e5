// Every tensor a DeepSeek-V4 checkpoint must hold, from its config alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/weight_store.h"
#include "model/deepseek_v4/config.h"
#include "tensor/tensor.h"

namespace plumb::deepseek_v4 {

// What a tensor belongs to, for totals. The draft block counts as a whole.
enum class Part : std::uint8_t {
  kEmbedding,
  kHead,
  kNorms,
  kHyper,  // mHC
  kAttention,
  kCompressor,
  kIndexer,
  kRouter,
  kExperts,
  kSharedExpert,
  kDraft,  // mtp.*
};
inline constexpr int kParts = 11;
std::string_view part_name(Part part);

// How a parameter is stored in the published checkpoints, and so what else is accepted.
enum class Storage : std::uint8_t {
  kLinear,  // published F8_E4M3 with a scale per 128 x 128; or F32, BF16, F16
  kExpert,  // published I8 (two E2M1) with a scale per 1 x 32, or as kLinear; or F32, BF16, F16
  kBF16,    // published BF16; or F32, F16
  kF32,     // published F32; or BF16, F16
  kIds,     // I64
};

// One parameter; a scale beside it is stored under scale_name().
struct Parameter {
  std::string name;  // of the tensor: "layers.3.attn.wq_a.weight"
  Part part = Part::kNorms;
  Storage storage = Storage::kBF16;
  std::vector<std::int64_t> shape;  // of the numbers, [out, in] for matrices
};

// "….weight" -> "….scale"
std::string scale_name(const Parameter& parameter);

// All parameters, layer by layer. Their number is bounded by Config's limits.
std::vector<Parameter> inventory(const Config& config);

// The format of `parameter` in `store`: its tensor and, where the format has them, its scales exist
// with the right types and shapes. kCorrupt names the tensor, what it is and what was expected.
Result<Format> stored_format(const Parameter& parameter, const WeightStore& store);

// One line of the totals.
struct Total {
  std::uint64_t tensors = 0;     // stored, scales included
  std::uint64_t bytes = 0;       // of those
  std::uint64_t parameters = 0;  // numbers of the model: without scales and id tables
};

struct Totals {
  std::array<Total, kParts> parts;  // by Part
  Total all;
  // Parameters as the models' makers count them: of the trunk, the draft block left out; and those
  // that one token meets, the embedding (a look-up) left out.
  std::uint64_t trunk_parameters = 0;
  std::uint64_t active_parameters = 0;
  // Weight bytes read for one token of decoding: all of the trunk but look-ups (the embedding, the
  // experts by token id), of the routed experts the chosen ones.
  std::uint64_t active_bytes = 0;
  // The same by what decides how often it is read: everything outside the routed experts, once per
  // step; one routed expert of one layer, once per step that chose it; look-ups, per token.
  std::uint64_t step_bytes = 0, expert_bytes = 0, lookup_bytes = 0;
  Format expert_format;  // of the first routed expert: E2M1, E4M3 or plain
  Format linear_format;  // of the first query projection
};

// Compares the whole store with the inventory: a missing, unexpected, misshapen or mistyped tensor
// refuses it by name (how many there are is said too).
Result<Totals> check_inventory(const Config& config, const WeightStore& store);

// How routed experts are published.
enum class ExpertFormat : std::uint8_t { kFp4, kFp8 };

// One tensor as a file of the official layout stores it.
struct PublishedTensor {
  std::string name;
  Element element = Element::kBF16;  // packed E2M1 is kI8
  std::vector<std::int64_t> shape;
  int parameter = 0;  // index into inventory()
  bool scale = false;
};

// The official layout: FP8 linears, FP4 or FP8 experts, everything else BF16, F32 or I64. `all` is
// inventory(config).
std::vector<PublishedTensor> published_tensors(const std::vector<Parameter>& all,
                                               ExpertFormat experts);

}  // namespace plumb::deepseek_v4
