#include "cache/prefix_index.h"

#include <algorithm>

#include "base/check.h"

namespace plumb {
namespace {

// splitmix64's finaliser: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::uint64_t extend(std::uint64_t hash, std::span<const Key> keys) {
  for (Key key : keys) hash = mix(hash ^ mix(key));
  return hash;
}

}  // namespace

PrefixIndex::Entries::iterator PrefixIndex::lookup(std::uint64_t hash, std::span<const Key> keys,
                                                   std::uint64_t scope) {
  auto [first, last] = by_hash_.equal_range(hash);
  for (; first != last; ++first) {
    const Snapshot& s = *first->second;
    if (s.scope == scope && std::ranges::equal(s.keys, keys)) return first->second;
  }
  return entries_.end();
}

const Snapshot* PrefixIndex::find(std::span<const Key> keys, std::uint64_t scope) {
  if (entries_.empty() || keys.empty()) return nullptr;
  const std::size_t page = static_cast<std::size_t>(page_tokens_);
  std::uint64_t hash = mix(scope);
  auto best = entries_.end();
  for (std::size_t n = page; n < keys.size(); n += page) {
    hash = extend(hash, keys.subspan(n - page, page));
    if (auto found = lookup(hash, keys.first(n), scope); found != entries_.end()) best = found;
  }
  if (best == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, best);
  return &entries_.front();
}

bool PrefixIndex::touch(std::span<const Key> keys, std::uint64_t scope) {
  auto found = lookup(extend(mix(scope), keys), keys, scope);
  if (found == entries_.end()) return false;
  entries_.splice(entries_.begin(), entries_, found);
  return true;
}

void PrefixIndex::insert(Snapshot snapshot) {
  PLUMB_CHECK(!snapshot.keys.empty() && snapshot.keys.size() % page_tokens_ == 0);
  const std::uint64_t hash = extend(mix(snapshot.scope), snapshot.keys);
  bytes_ += snapshot.bytes();
  entries_.push_front(std::move(snapshot));
  by_hash_.emplace(hash, entries_.begin());
}

Snapshot PrefixIndex::take_oldest() {
  PLUMB_CHECK(!entries_.empty());
  auto oldest = std::prev(entries_.end());
  const std::uint64_t hash = extend(mix(oldest->scope), oldest->keys);
  auto [first, last] = by_hash_.equal_range(hash);
  while (first != last && first->second != oldest) ++first;
  PLUMB_CHECK(first != last);
  by_hash_.erase(first);
  Snapshot out = std::move(*oldest);
  bytes_ -= out.bytes();
  entries_.erase(oldest);
  return out;
}

}  // namespace plumb
