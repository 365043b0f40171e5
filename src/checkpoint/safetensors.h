// The header of one safetensors file: the only parser that meets the bytes of a weight file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace plumb {

// One tensor as a shard describes it.
struct ShardTensor {
  std::string name;                // as written
  std::string dtype;               // as written: "BF16", "F8_E4M3", ...
  std::optional<Element> element;  // nullopt: a type of the format that no kernel here reads
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;  // of the first byte, from the start of the file
  std::uint64_t bytes = 0;
};

struct ShardHeader {
  std::vector<ShardTensor> tensors;  // in the order of their bytes; no gaps, no overlaps
  std::uint64_t header_bytes = 0;    // length field and JSON: where the data begins
};

// A file that begins like this is a Git LFS pointer: the text that stands for a file not fetched.
bool is_lfs_pointer(std::span<const std::byte> head);

// Size of the JSON header by the file's first 8 bytes, checked against the length of the file
// (`file_bytes`). kCorrupt says what is wrong: empty, a Git LFS pointer, not safetensors, cut
// short. `head` holds the first min(file_bytes, 64) bytes or more. `what` names the file in
// messages.
Result<std::uint64_t> safetensors_json_bytes(std::span<const std::byte> head,
                                             std::uint64_t file_bytes, std::string_view what);

// Reads and checks a whole header. `head` holds at least the length field and the JSON. Guaranteed
// afterwards: every tensor lies inside the file, its bytes are what its shape and dtype ask for,
// the tensors fill the data section without gap or overlap, and the file ends where they end.
// kCorrupt names the file, the tensor, and both values.
Result<ShardHeader> parse_safetensors(std::span<const std::byte> head, std::uint64_t file_bytes,
                                      std::string_view what);

// "[64, 128]"
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace plumb
