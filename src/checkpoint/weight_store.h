// A checkpoint directory as published: config.json, the index, and mapped safetensors shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace plumb {

// One tensor of the store.
struct StoredTensor {
  std::string name;                // in the model's own spelling
  std::string dtype;               // as the file names it
  std::optional<Element> element;  // nullopt: a type no kernel here reads
  std::vector<std::int64_t> shape;
  int shard = 0;             // index into shards()
  std::uint64_t offset = 0;  // in that shard's file; no alignment is promised
  std::uint64_t bytes = 0;
};

struct Shard {
  std::string file;                // name inside the directory
  std::uint64_t bytes = 0;         // length of the file
  std::uint64_t header_bytes = 0;  // where its data begins
};

// Translates a stored name into the model's spelling; an error refuses the checkpoint. Only the
// model knows its names, so it hands this in. Absent: names are taken as they are.
using NameRule = std::function<Result<std::string>(std::string_view stored)>;

struct OpenOptions {
  bool headers_only = false;  // check headers, then let the files go: data() may not be called
  NameRule canonical;
};

// Read-only, thread-safe after open(). Everything in the directory is untrusted: open() checks
// every name, offset, size and the agreement of index and shards, so that data() only looks up.
// Tensors come from `model.safetensors.index.json` and its shards, or from one `model.safetensors`.
class WeightStore {
 public:
  // kNotFound: no such directory, no config.json, no weights, a missing shard.
  // kCorrupt: anything else that is wrong with the files; all faulty shards are named at once.
  static Result<std::unique_ptr<WeightStore>> open(const std::filesystem::path& directory,
                                                   const OpenOptions& options = {});
  virtual ~WeightStore() = default;

  virtual const std::filesystem::path& directory() const = 0;
  virtual const std::string& config_json() const = 0;
  virtual const std::vector<Shard>& shards() const = 0;
  virtual const std::vector<StoredTensor>& tensors() const = 0;  // ascending by name
  const StoredTensor* find(std::string_view name) const;         // nullptr: absent
  std::uint64_t total_bytes() const;                             // of all tensors

  // The tensor's bytes, inside the mapping: as long as the store lives.
  std::span<const std::byte> data(const StoredTensor& tensor) const;
  // The caller has read the tensor and will not soon again: its pages may leave this process's
  // memory (not the page cache). data() stays valid and reads the same.
  virtual void release(const StoredTensor& tensor) const = 0;
  // A whole shard's bytes, header included.
  virtual std::span<const std::byte> shard_data(int shard) const = 0;

  // The text of another file of the directory (tokenizer.json, ...), at most `max_bytes` long.
  Result<std::string> read_file(std::string_view name, std::size_t max_bytes) const;

  // SHA-256 (hex) that tells checkpoints apart cheaply, for saved state and caches: config.json,
  // every shard's length and header, and the data (all of it up to 64 MiB in total, else 64 blocks
  // of 4 KiB spread evenly over each shard, first and last included). Not a proof of integrity:
  // verify_shard() reads every byte. Needs mapped data.
  std::string identity() const;
};

}  // namespace plumb
