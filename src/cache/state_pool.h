// All memory of sequences of one engine: pages of rows, tails, shared prefixes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "cache/state_layout.h"
#include "device/device.h"

namespace plumb {

class StatePool;
struct Snapshot;

// One sequence's memory. Move-only; returns its pages and tail when destroyed. Must not outlive its
// pool. Owned by the engine thread.
class SequenceState {
 public:
  SequenceState() = default;
  SequenceState(SequenceState&& other) noexcept;
  SequenceState& operator=(SequenceState&& other) noexcept;
  SequenceState(const SequenceState&) = delete;
  SequenceState& operator=(const SequenceState&) = delete;
  ~SequenceState();

  Pos length() const { return static_cast<Pos>(keys_.size()); }
  std::span<const Key> keys() const { return keys_; }  // identity of every position so far
  std::span<const std::int32_t> pages() const { return pages_; }
  std::byte* tail() const { return tail_; }  // device memory, see StateLayout::tail_offset
  bool valid() const { return pool_ != nullptr; }

 private:
  friend class StatePool;
  StatePool* pool_ = nullptr;
  std::vector<Key> keys_;
  std::vector<std::int32_t> pages_;
  std::byte* tail_ = nullptr;
  int slot_ = -1;
  Pos floor_ = 0;  // rows before what this length needs were never held (start from a snapshot)
  Pos high_ = 0;   // the longest it has been: rings hold what came just before that
  std::uint64_t scope_ = 0;
};

struct PoolOptions {
  int pages = 0;                   // of all sequences together
  int sequences = 1;               // tails
  std::size_t snapshot_bytes = 0;  // budget for tails of shared prefixes; 0: no sharing
};

// Owned by the engine thread, allocated once.
//
// A prefix is identified by its keys (compared one by one, not only hashed) within a scope (tenant);
// what is shared is its full pages, read-only, and a packed copy of the tail at its end.
class StatePool {
 public:
  static Result<std::unique_ptr<StatePool>> create(Device& device, const StateLayout& layout,
                                                   const PoolOptions& options);
  ~StatePool();

  const StateLayout& layout() const { return layout_; }

  // A new sequence that starts from the longest published prefix of `keys` (length() says how much;
  // always less than keys.size(), so that something is left to compute). kExhausted: no free tail.
  Result<SequenceState> open(std::span<const Key> keys, std::uint64_t scope = 0);
  // For a sequence that was opened with these keys and holds nothing of its own yet: starts it anew
  // from a longer prefix if one was published since. false: none was. Its pages beyond go back.
  bool reopen(SequenceState& state, std::span<const Key> keys);
  // Room for `tokens` more, writable: pages shared with others are copied first. Published prefixes
  // give way, least recently used first. kExhausted: park or end some sequence.
  Status reserve(SequenceState& state, int tokens);
  // After a forward pass wrote them: the sequence now holds these positions too.
  void advance(SequenceState& state, std::span<const Key> keys);
  // Forgets the last positions, exactly: what follows is as if they had never been there. kInvalid
  // when that is more than max_rewind back, or before the snapshot that the sequence started from.
  Status truncate(SequenceState& state, Pos length);
  bool can_truncate(const SequenceState& state, Pos length) const;
  // Offers everything up to length() to later open() calls. Does nothing unless length() is a
  // positive multiple of page_tokens and the budget allows.
  void publish(const SequenceState& state);
  void forget_published();  // drops every shared prefix that no sequence uses

  // The whole state as bytes (docs/FORMATS.md, "Saved state"): for parking and for files. Carries the
  // layout's fingerprint and a checksum.
  std::vector<std::byte> save(const SequenceState& state) const;
  // kCorrupt / kUnsupported say what does not match; kExhausted: no room.
  Result<SequenceState> load(std::span<const std::byte> saved, std::uint64_t scope = 0);

  // First byte of a stream's rows in page 0, and bytes from a page to the next.
  std::byte* stream_base(int stream) const;
  std::ptrdiff_t stream_page_stride(int stream) const;
  int rows_per_page(int stream) const;

  struct Stats {
    int pages_total = 0, pages_free = 0, sequences = 0, sequences_max = 0;
    int snapshots = 0;
    std::size_t snapshot_bytes = 0;
    std::uint64_t hits = 0, misses = 0, reused_tokens = 0, evictions = 0;
  };
  Stats stats() const;
  // Memory that create() takes for these options.
  static std::size_t bytes_needed(const StateLayout& layout, const PoolOptions& options);

 private:
  friend class SequenceState;
  struct Impl;
  StatePool(const StateLayout& layout, std::unique_ptr<Impl> impl);
  void close(SequenceState& state) noexcept;
  void start_from(const Snapshot& snapshot, SequenceState& state);
  StateLayout layout_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plumb
