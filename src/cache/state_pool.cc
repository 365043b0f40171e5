#include "cache/state_pool.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "cache/prefix_index.h"
#include "cache/saved_state.h"

namespace plumb {
namespace {

std::size_t align128(std::size_t bytes) { return (bytes + 127) / 128 * 128; }

std::size_t stream_page_bytes(const StateLayout& layout, const RowStream& stream) {
  return static_cast<std::size_t>(layout.page_tokens / stream.tokens_per_row) * stream.bytes_per_row;
}

std::size_t stream_bytes(const StateLayout& layout, const RowStream& stream, int pages) {
  return align128(stream_page_bytes(layout, stream) * pages);
}

int pages_for(const StateLayout& layout, Pos tokens) {
  return static_cast<int>((tokens + layout.page_tokens - 1) / layout.page_tokens);
}

Status check_layout(const StateLayout& layout) {
  for (const RowStream& s : layout.streams) {
    if (s.tokens_per_row <= 0 || layout.page_tokens % s.tokens_per_row != 0) {
      return Error{Code::kUnsupported, "The row stream " + s.name + " keeps one row per " +
                                           std::to_string(s.tokens_per_row) +
                                           " tokens, which must divide the page of " +
                                           std::to_string(layout.page_tokens) + " tokens."};
    }
  }
  return {};
}

}  // namespace

struct StatePool::Impl {
  Impl(Device& d, const StateLayout& layout, const PoolOptions& o)
      : device(d), options(o), index(layout.page_tokens) {}

  Device& device;
  PoolOptions options;
  Buffer rows;
  Buffer tails;
  std::vector<std::size_t> stream_offset;
  std::vector<int> page_users;  // sequences and snapshots that hold a page
  std::vector<std::int32_t> free_pages;
  std::vector<int> free_slots;
  PrefixIndex index;
  std::uint64_t hits = 0, misses = 0, reused_tokens = 0, evictions = 0;

  void drop_page(std::int32_t page) {
    PLUMB_CHECK(page_users[page] > 0);
    if (--page_users[page] == 0) free_pages.push_back(page);
  }
  void evict_oldest() {
    const Snapshot gone = index.take_oldest();
    for (std::int32_t page : gone.pages) drop_page(page);
    ++evictions;
  }
  // A page nobody uses, taken from published prefixes if need be; -1 when there is none.
  std::int32_t take_page() {
    while (free_pages.empty() && !index.empty()) evict_oldest();
    if (free_pages.empty()) return -1;
    const std::int32_t page = free_pages.back();
    free_pages.pop_back();
    page_users[page] = 1;
    return page;
  }
};

SequenceState::SequenceState(SequenceState&& other) noexcept { *this = std::move(other); }

SequenceState& SequenceState::operator=(SequenceState&& other) noexcept {
  if (this == &other) return *this;
  if (pool_) pool_->close(*this);
  pool_ = std::exchange(other.pool_, nullptr);
  keys_ = std::move(other.keys_);
  pages_ = std::move(other.pages_);
  tail_ = std::exchange(other.tail_, nullptr);
  slot_ = std::exchange(other.slot_, -1);
  floor_ = other.floor_;
  high_ = other.high_;
  scope_ = other.scope_;
  other.keys_.clear();
  other.pages_.clear();
  return *this;
}

SequenceState::~SequenceState() {
  if (pool_) pool_->close(*this);
}

StatePool::StatePool(const StateLayout& layout, std::unique_ptr<Impl> impl)
    : layout_(layout), impl_(std::move(impl)) {}

StatePool::~StatePool() = default;

std::size_t StatePool::bytes_needed(const StateLayout& layout, const PoolOptions& options) {
  std::size_t bytes = align128(layout.tail_bytes()) * options.sequences + options.snapshot_bytes;
  for (const RowStream& s : layout.streams) bytes += stream_bytes(layout, s, options.pages);
  return bytes;
}

Result<std::unique_ptr<StatePool>> StatePool::create(Device& device, const StateLayout& layout,
                                                     const PoolOptions& options) {
  PLUMB_TRY_STATUS(check_layout(layout));
  PLUMB_CHECK(options.pages > 0 && options.sequences > 0);
  auto impl = std::make_unique<Impl>(device, layout, options);
  std::size_t bytes = 0;
  for (const RowStream& s : layout.streams) {
    impl->stream_offset.push_back(bytes);
    bytes += stream_bytes(layout, s, options.pages);
  }
  PLUMB_TRY(rows, device.allocate(std::max<std::size_t>(bytes, 128)));
  impl->rows = std::move(rows);
  PLUMB_TRY(tails, device.allocate(
                       std::max<std::size_t>(align128(layout.tail_bytes()) * options.sequences, 128)));
  impl->tails = std::move(tails);
  impl->page_users.assign(options.pages, 0);
  for (int p = options.pages; p-- > 0;) impl->free_pages.push_back(p);
  for (int s = options.sequences; s-- > 0;) impl->free_slots.push_back(s);
  return std::unique_ptr<StatePool>(new StatePool(layout, std::move(impl)));
}

Result<SequenceState> StatePool::open(std::span<const Key> keys, std::uint64_t scope) {
  if (impl_->free_slots.empty()) {
    return Error{Code::kExhausted, "All " + std::to_string(impl_->options.sequences) +
                                       " sequences of the cache are in use."};
  }
  SequenceState state;
  state.pool_ = this;
  state.scope_ = scope;
  state.slot_ = impl_->free_slots.back();
  impl_->free_slots.pop_back();
  state.tail_ = impl_->tails.data() + align128(layout_.tail_bytes()) * state.slot_;
  if (const Snapshot* found = impl_->index.find(keys, scope)) {
    ++impl_->hits;
    impl_->reused_tokens += found->keys.size();
    start_from(*found, state);
  } else {
    ++impl_->misses;
  }
  return state;
}

void StatePool::start_from(const Snapshot& snapshot, SequenceState& state) {
  state.keys_ = snapshot.keys;
  state.pages_ = snapshot.pages;
  for (std::int32_t page : state.pages_) ++impl_->page_users[page];
  unpack_tail(impl_->device, layout_, snapshot.tail, state.length(), state.tail_);
  state.floor_ = state.high_ = state.length();
}

bool StatePool::reopen(SequenceState& state, std::span<const Key> keys) {
  PLUMB_CHECK(state.pool_ == this && state.high_ == state.floor_);
  const Snapshot* found = impl_->index.find(keys, state.scope_);
  if (!found || static_cast<Pos>(found->keys.size()) <= state.length()) return false;
  impl_->reused_tokens += found->keys.size() - state.keys_.size();
  const std::vector<std::int32_t> before = std::move(state.pages_);
  start_from(*found, state);
  for (std::int32_t page : before) impl_->drop_page(page);
  return true;
}

Status StatePool::reserve(SequenceState& state, int tokens) {
  PLUMB_CHECK(state.pool_ == this && tokens >= 0);
  const Pos length = state.length();
  // Truncating may have gone back into a page that others read: write to a copy of it.
  const int first_written = static_cast<int>(length / layout_.page_tokens);
  for (int i = first_written; i < static_cast<int>(state.pages_.size()); ++i) {
    if (impl_->page_users[state.pages_[i]] == 1) continue;
    const std::int32_t copy = impl_->take_page();
    if (copy < 0) {
      return Error{Code::kExhausted, "No page of the cache is free to copy a shared one."};
    }
    for (std::size_t s = 0; s < layout_.streams.size(); ++s) {
      std::byte* base = stream_base(static_cast<int>(s));
      const std::ptrdiff_t step = stream_page_stride(static_cast<int>(s));
      impl_->device.copy(base + copy * step, base + state.pages_[i] * step, step);
    }
    impl_->drop_page(state.pages_[i]);
    state.pages_[i] = copy;
  }
  const int wanted = pages_for(layout_, length + tokens);
  while (static_cast<int>(state.pages_.size()) < wanted) {
    const std::int32_t page = impl_->take_page();
    if (page < 0) {
      return Error{Code::kExhausted, "The cache has no free page: " +
                                         std::to_string(impl_->options.pages) + " pages of " +
                                         std::to_string(layout_.page_tokens) + " tokens are in use."};
    }
    state.pages_.push_back(page);
  }
  return {};
}

void StatePool::advance(SequenceState& state, std::span<const Key> keys) {
  PLUMB_CHECK(state.pool_ == this);
  state.keys_.insert(state.keys_.end(), keys.begin(), keys.end());
  PLUMB_CHECK(pages_for(layout_, state.length()) <= static_cast<int>(state.pages_.size()));
  state.high_ = std::max(state.high_, state.length());
}

bool StatePool::can_truncate(const SequenceState& state, Pos length) const {
  const Pos lowest = std::max(state.floor_, state.high_ - layout_.max_rewind);
  return length == state.length() || length == 0 ||
         (length >= 0 && length < state.length() && length >= lowest);
}

Status StatePool::truncate(SequenceState& state, Pos length) {
  PLUMB_CHECK(state.pool_ == this);
  if (!can_truncate(state, length)) {
    return Error{Code::kInvalid, "A sequence of " + std::to_string(state.length()) +
                                     " tokens cannot go back to " + std::to_string(length) +
                                     ": what came before is kept for " +
                                     std::to_string(layout_.max_rewind) + " tokens only."};
  }
  state.keys_.resize(length);
  const int keep = pages_for(layout_, length);
  while (static_cast<int>(state.pages_.size()) > keep) {
    impl_->drop_page(state.pages_.back());
    state.pages_.pop_back();
  }
  if (length == 0) state.floor_ = state.high_ = 0;
  return {};
}

void StatePool::publish(const SequenceState& state) {
  PLUMB_CHECK(state.pool_ == this);
  const Pos n = state.length();
  if (n <= 0 || n % layout_.page_tokens != 0) return;
  if (impl_->index.touch(state.keys_, state.scope_)) return;
  const std::size_t bytes = layout_.packed_tail_bytes(n) + n * sizeof(Key);
  if (bytes > impl_->options.snapshot_bytes) return;
  while (impl_->index.bytes() + bytes > impl_->options.snapshot_bytes) impl_->evict_oldest();
  Snapshot snapshot;
  snapshot.scope = state.scope_;
  snapshot.keys = state.keys_;
  snapshot.pages.assign(state.pages_.begin(), state.pages_.begin() + n / layout_.page_tokens);
  for (std::int32_t page : snapshot.pages) ++impl_->page_users[page];
  snapshot.tail = pack_tail(impl_->device, layout_, n, state.tail_);
  impl_->index.insert(std::move(snapshot));
}

void StatePool::forget_published() {
  while (!impl_->index.empty()) impl_->evict_oldest();
}

void StatePool::close(SequenceState& state) noexcept {
  for (std::int32_t page : state.pages_) impl_->drop_page(page);
  impl_->free_slots.push_back(state.slot_);
  state.pool_ = nullptr;
}

std::vector<std::byte> StatePool::save(const SequenceState& state) const {
  PLUMB_CHECK(state.pool_ == this);
  SavedState saved;
  saved.keys.assign(state.keys_.begin(), state.keys_.end());
  const Pos n = state.length();
  for (std::size_t s = 0; s < layout_.streams.size(); ++s) {
    const RowStream& stream = layout_.streams[s];
    Pos rows = n / stream.tokens_per_row;
    const int per_page = rows_per_page(static_cast<int>(s));
    for (std::size_t p = 0; rows > 0; ++p, rows -= per_page) {
      const std::size_t bytes = static_cast<std::size_t>(std::min<Pos>(rows, per_page)) * stream.bytes_per_row;
      const std::size_t at = saved.rows.size();
      saved.rows.resize(at + bytes);
      impl_->device.download({saved.rows.data() + at, bytes},
                             stream_base(static_cast<int>(s)) +
                                 state.pages_[p] * stream_page_stride(static_cast<int>(s)));
    }
  }
  saved.tail = pack_tail(impl_->device, layout_, n, state.tail_);
  return encode_saved_state(layout_, saved);
}

Result<SequenceState> StatePool::load(std::span<const std::byte> bytes, std::uint64_t scope) {
  PLUMB_TRY(saved, decode_saved_state(layout_, bytes));
  PLUMB_TRY(state, open({}, scope));
  const Pos n = static_cast<Pos>(saved.keys.size());
  PLUMB_TRY_STATUS(reserve(state, static_cast<int>(n)));
  std::size_t at = 0;
  for (std::size_t s = 0; s < layout_.streams.size(); ++s) {
    const RowStream& stream = layout_.streams[s];
    Pos rows = n / stream.tokens_per_row;
    const int per_page = rows_per_page(static_cast<int>(s));
    for (std::size_t p = 0; rows > 0; ++p, rows -= per_page) {
      const std::size_t count = static_cast<std::size_t>(std::min<Pos>(rows, per_page)) * stream.bytes_per_row;
      impl_->device.upload(stream_base(static_cast<int>(s)) +
                               state.pages_[p] * stream_page_stride(static_cast<int>(s)),
                           {saved.rows.data() + at, count});
      at += count;
    }
  }
  unpack_tail(impl_->device, layout_, saved.tail, n, state.tail_);
  advance(state, saved.keys);
  state.floor_ = n;
  return std::move(state);
}

std::byte* StatePool::stream_base(int stream) const {
  return impl_->rows.data() + impl_->stream_offset[stream];
}

std::ptrdiff_t StatePool::stream_page_stride(int stream) const {
  return static_cast<std::ptrdiff_t>(stream_page_bytes(layout_, layout_.streams[stream]));
}

int StatePool::rows_per_page(int stream) const {
  return layout_.page_tokens / layout_.streams[stream].tokens_per_row;
}

StatePool::Stats StatePool::stats() const {
  Stats s;
  s.pages_total = impl_->options.pages;
  s.pages_free = static_cast<int>(impl_->free_pages.size());
  s.sequences_max = impl_->options.sequences;
  s.sequences = s.sequences_max - static_cast<int>(impl_->free_slots.size());
  s.snapshots = impl_->index.size();
  s.snapshot_bytes = impl_->index.bytes();
  s.hits = impl_->hits;
  s.misses = impl_->misses;
  s.reused_tokens = impl_->reused_tokens;
  s.evictions = impl_->evictions;
  return s;
}

}  // namespace plumb
