// Saved states are foreign bytes: files that people keep, move and damage. Whatever decodes must encode
// to the same bytes; whatever the checksum would hide is reached by repairing it.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "cache/saved_state.h"

namespace {

plumb::StateLayout layout() {
  plumb::StateLayout l;
  l.page_tokens = 8;
  l.max_rewind = 3;
  l.streams = {{"each", 8, 1}, {"fourth", 4, 4}};
  l.tail = {{"window", 8, 5, 0, 8}, {"group", 4, 4, 4, 10}};
  return l;
}

void decode(std::span<const std::byte> bytes) {
  const plumb::StateLayout l = layout();
  auto state = plumb::decode_saved_state(l, bytes);
  if (!state) return;
  const auto again = plumb::encode_saved_state(l, *state);
  if (again.size() != bytes.size() || std::memcmp(again.data(), bytes.data(), again.size()) != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  decode(bytes);
  // The same bytes as the body of a well-formed frame, so that the fields behind the checksum are met.
  const plumb::StateLayout l = layout();
  plumb::SavedState state;
  const std::size_t keys = size > 0 ? data[0] % 32 : 0;
  state.keys.assign(keys, 7);
  state.rows.assign(bytes.begin(), bytes.end());
  state.tail.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size / 2));
  decode(plumb::encode_saved_state(l, state));
  return 0;
}
