#include "text/piece_cache.h"

#include <algorithm>

#include "text/piece_bytes.h"

namespace plumb {

PieceCache::Key PieceCache::key_of(std::string_view piece) {
  if (piece.size() <= 8) return {short_key(piece), 0};
  return {load_eight(piece.data()), load_eight(piece.data() + piece.size() - 8)};
}

std::size_t PieceCache::slot_of(const Key& key, std::size_t bytes) {
  return mix(mix(key.low + bytes) ^ key.high) % kEntries;
}

bool PieceCache::append(std::string_view piece, std::vector<Token>& out) const {
  if (piece.size() > kMaxBytes) return false;
  const Key key = key_of(piece);
  const Entry& entry = entries_[slot_of(key, piece.size())];
  if (entry.bytes != piece.size() || entry.key != key) return false;
  out.insert(out.end(), entry.token, entry.token + entry.tokens);
  return true;
}

void PieceCache::remember(std::string_view piece, std::span<const Token> tokens) {
  if (piece.size() > kMaxBytes || tokens.size() > kMaxTokens) return;
  const Key key = key_of(piece);
  Entry& entry = entries_[slot_of(key, piece.size())];
  entry.key = key;
  entry.bytes = static_cast<std::uint8_t>(piece.size());
  entry.tokens = static_cast<std::uint8_t>(tokens.size());
  std::copy(tokens.begin(), tokens.end(), entry.token);
}

}  // namespace plumb
