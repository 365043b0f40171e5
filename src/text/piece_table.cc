#include "text/piece_table.h"

#include <cstring>

#include "base/check.h"
#include "text/piece_bytes.h"

namespace plumb {

namespace {

constexpr std::size_t kInlineBytes = 8;

std::uint64_t hash_of(std::string_view text) {
  const std::size_t n = text.size();
  if (n <= kInlineBytes) return mix(short_key(text) + n);
  std::uint64_t hash = mix(load_eight(text.data()) + n);
  for (std::size_t i = 8; i + 8 < n; i += 8) hash = mix(hash ^ load_eight(text.data() + i));
  return mix(hash ^ load_eight(text.data() + n - 8));
}

std::uint64_t key_of(std::string_view text) {
  if (text.size() <= kInlineBytes) return short_key(text);
  return reinterpret_cast<std::uintptr_t>(text.data());
}

const char* address(std::uint64_t key) {
  return reinterpret_cast<const char*>(static_cast<std::uintptr_t>(key));
}

}  // namespace

PieceTable::PieceTable(std::size_t capacity) {
  std::size_t size = 16;
  while (size < capacity * 2) size *= 2;
  slots_.resize(size);
}

void PieceTable::insert(std::string_view text, Token token) {
  PLUMB_CHECK(!text.empty() && count_ * 2 < slots_.size());
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash_of(text) & mask;
  while (slots_[at].length != 0) at = (at + 1) & mask;
  slots_[at] = {key_of(text), static_cast<std::uint32_t>(text.size()), token};
  ++count_;
}

Token PieceTable::find(std::string_view text) const {
  const std::size_t mask = slots_.size() - 1;
  const bool is_inline = text.size() <= kInlineBytes;
  const std::uint64_t key = is_inline ? short_key(text) : 0;
  for (std::size_t at = hash_of(text) & mask; slots_[at].length != 0; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.length != text.size()) continue;
    if (is_inline ? slot.key == key
                  : std::memcmp(address(slot.key), text.data(), text.size()) == 0) {
      return slot.token;
    }
  }
  return -1;
}

}  // namespace plumb
