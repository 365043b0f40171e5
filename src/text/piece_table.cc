#include "text/piece_table.h"

#include <cstring>

#include "base/check.h"

namespace plumb {

namespace {

constexpr std::size_t kInlineBytes = 8;

std::uint64_t mix(std::uint64_t x) {
  x *= 0x9E3779B97F4A7C15;
  return x ^ x >> 32;
}

std::uint64_t load64(const char* p) {
  std::uint64_t value;
  std::memcpy(&value, p, 8);
  return value;
}

// Up to eight bytes as a number; different for different texts of one length.
std::uint64_t inline_key(std::string_view text) {
  const char* p = text.data();
  const std::size_t n = text.size();
  if (n == 8) return load64(p);
  if (n >= 4) {
    std::uint32_t first, last;
    std::memcpy(&first, p, 4);
    std::memcpy(&last, p + n - 4, 4);
    return std::uint64_t{last} << 32 | first;
  }
  const auto byte = [&](std::size_t i) { return std::uint64_t{static_cast<std::uint8_t>(p[i])}; };
  return byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
}

std::uint64_t hash_of(std::string_view text) {
  const std::size_t n = text.size();
  if (n <= kInlineBytes) return mix(inline_key(text) + n);
  std::uint64_t hash = mix(load64(text.data()) + n);
  for (std::size_t i = 8; i + 8 < n; i += 8) hash = mix(hash ^ load64(text.data() + i));
  return mix(hash ^ load64(text.data() + n - 8));
}

std::uint64_t key_of(std::string_view text) {
  if (text.size() <= kInlineBytes) return inline_key(text);
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
  const std::uint64_t key = is_inline ? inline_key(text) : 0;
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
