// Reading every byte of a checkpoint: digests, and numbers that are none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/weight_store.h"

namespace plumb {

// A tensor with values that no weight has: NaN codes of F8_E4M3 and F8_E8M0, NaN or infinity in
// F32, BF16 and F16.
struct BadNumbers {
  std::string tensor;
  std::uint64_t count = 0;
  std::uint64_t first = 0;  // index of the first one, counted in stored elements
};

struct ShardCheck {
  std::string sha256;  // of the whole file, as sha256sum prints it
  std::vector<BadNumbers> bad;
};

// Reads shard `shard` of `store` (which holds its data) once, in order. `progress` hears how many
// bytes of this shard are done; it may be empty.
ShardCheck verify_shard(const WeightStore& store, int shard,
                        const std::function<void(std::uint64_t done)>& progress);

}  // namespace plumb
