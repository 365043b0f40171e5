// Writes safetensors shards and their index: for tests, synthetic checkpoints and saved tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace plumb {

struct TensorPlan {
  std::string name;
  Element element = Element::kF32;  // packed E2M1 goes as kI8
  std::vector<std::int64_t> shape;

  std::uint64_t bytes() const;
};

struct ShardPlan {
  std::string file;
  std::vector<TensorPlan> tensors;  // in the order of their bytes

  std::uint64_t data_bytes() const;
};

// Length field and JSON, padded so that the data begins at a multiple of 8.
std::string safetensors_header(std::span<const TensorPlan> tensors);

// Cuts the list into files model-00001-of-000NN.safetensors of at most `max_shard_bytes` of data (a
// larger tensor gets a file of its own). Inside a shard wider elements come first, so that every
// tensor is aligned to its element.
std::vector<ShardPlan> plan_shards(std::vector<TensorPlan> tensors, std::uint64_t max_shard_bytes);

// model.safetensors.index.json for these shards.
std::string index_json(std::span<const ShardPlan> shards);

// A shard of the right length with nothing but its header: the data is a hole and reads as zeros.
Status write_sparse_shard(const std::filesystem::path& directory, const ShardPlan& plan);

// One shard, tensor by tensor in the plan's order. Thread-compatible.
class ShardWriter {
 public:
  // Creates (or replaces) the file and writes the header.
  static Result<ShardWriter> create(const std::filesystem::path& directory, const ShardPlan& plan);
  // The next bytes of the data section.
  Status append(std::span<const std::byte> bytes);
  // Closes; everything announced must have been appended.
  Status finish();

 private:
  ShardWriter(std::filesystem::path path, std::uint64_t remaining)
      : path_(std::move(path)), remaining_(remaining) {}
  std::filesystem::path path_;
  std::ofstream out_;
  std::uint64_t remaining_ = 0;
};

}  // namespace plumb
