// A sequence's state as bytes: tails packed to what their length needs, whole states for parking and
// files (docs/FORMATS.md, "Saved state").
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "cache/state_layout.h"
#include "device/device.h"

namespace plumb {

// The rows that a sequence of n tokens needs of every ring, ascending by position, ring after ring.
std::vector<std::byte> pack_tail(Device& device, const StateLayout& layout, Pos n,
                                 const std::byte* tail);
// The inverse, into a tail in device memory. `packed` must have packed_tail_bytes(n) bytes.
void unpack_tail(Device& device, const StateLayout& layout, std::span<const std::byte> packed, Pos n,
                 std::byte* tail);

struct SavedState {
  std::vector<Key> keys;
  std::vector<std::byte> rows;  // stream after stream, rows ascending
  std::vector<std::byte> tail;  // pack_tail's form
};

std::vector<std::byte> encode_saved_state(const StateLayout& layout, const SavedState& state);
// Foreign bytes: kCorrupt when damaged or cut, kUnsupported when made for another layout.
Result<SavedState> decode_saved_state(const StateLayout& layout, std::span<const std::byte> bytes);

}  // namespace plumb
