// Checkpoints with random weights in the official layout: for tests, speed and trying things out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/inventory.h"

namespace plumb::deepseek_v4 {

struct RandomOptions {
  std::uint64_t seed = 1;
  ExpertFormat experts = ExpertFormat::kFp4;
  bool headers_only = false;  // right lengths, but the data are holes that read as zeros
  std::uint64_t max_shard_bytes = std::uint64_t{4} << 30;
  // Told how many bytes of tensors are written so far and in all; may be empty.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

// Writes config.json, the shards, their index and a byte-level tokenizer.json into `directory`,
// which is created; one that holds a config.json already is refused (kInvalid). The same config,
// seed and format give the same bytes on every machine.
//
// Weights are scaled so that activations keep their size from layer to layer and no decision is
// trivial: matrices ~ N(0, gain^2 / inputs), norms ~ U(0.5, 1.5), mHC bases, sinks and position
// biases ~ N(0, 1), mHC scales ~ U(0.5, 1.5), router bias ~ N(0, 0.3^2), distinct experts in every
// row of the hash tables.
Status write_random_checkpoint(const std::filesystem::path& directory, const Config& config,
                               const RandomOptions& options);

// A byte-level tokenizer.json without merges: ids 0 to 2 and the 256 bytes as published, then the
// control tokens of the chat format by name. kInvalid when `vocab` is too small for them.
Result<std::string> byte_tokenizer_json(int vocab);

}  // namespace plumb::deepseek_v4
