// Which published prefixes exist, found by the identity of their positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/types.h"

namespace plumb {

// A prefix whose length is a multiple of the page: its pages (counted by the pool) and the packed
// tail at its end.
struct Snapshot {
  std::uint64_t scope = 0;
  std::vector<Key> keys;
  std::vector<std::int32_t> pages;
  std::vector<std::byte> tail;

  std::size_t bytes() const { return tail.size() + keys.size() * sizeof(Key); }
};

// Least recently used order, lookup by hash, equality by comparing every key. Owned by the pool.
class PrefixIndex {
 public:
  explicit PrefixIndex(int page_tokens) : page_tokens_(page_tokens) {}

  // The longest entry that is a prefix of `keys` and shorter than it, now the most recently used;
  // null if there is none.
  const Snapshot* find(std::span<const Key> keys, std::uint64_t scope);
  // True when exactly these keys are already held (and now most recently used).
  bool touch(std::span<const Key> keys, std::uint64_t scope);
  void insert(Snapshot snapshot);
  bool empty() const { return entries_.empty(); }
  Snapshot take_oldest();  // removes and returns it; not to be called when empty

  int size() const { return static_cast<int>(entries_.size()); }
  std::size_t bytes() const { return bytes_; }

 private:
  using Entries = std::list<Snapshot>;
  Entries::iterator lookup(std::uint64_t hash, std::span<const Key> keys, std::uint64_t scope);

  int page_tokens_;
  Entries entries_;  // most recently used first
  std::unordered_multimap<std::uint64_t, Entries::iterator> by_hash_;
  std::size_t bytes_ = 0;
};

}  // namespace plumb
