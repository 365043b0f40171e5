#include "cache/state_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>

#include "cache/saved_state.h"

namespace plumb {
namespace {

// Two streams (one row per token, one per 4) and two rings; every row holds the number of its position.
StateLayout small_layout() {
  StateLayout layout;
  layout.page_tokens = 8;
  layout.max_rewind = 3;
  layout.streams = {{"each", 8, 1}, {"fourth", 8, 4}};
  layout.tail = {{"window", 8, 5, 0, 5 + 3}, {"group", 8, 4, 4, 4 + 3 + 3}};
  return layout;
}

std::unique_ptr<Device> device() { return std::move(*open_device({"ref", "auto", 1})); }

std::unique_ptr<StatePool> pool(Device& d, int pages, int sequences, std::size_t snapshots = 1 << 20) {
  return std::move(*StatePool::create(d, small_layout(), {pages, sequences, snapshots}));
}

std::vector<Key> keys(int n, Key salt = 0) {
  std::vector<Key> out(n);
  std::iota(out.begin(), out.end(), salt);
  return out;
}

std::uint64_t content(const SequenceState& s, Pos p) { return s.keys()[p] * 1000 + p; }

// Plays the model: appends `more` and writes what it would.
void write(StatePool& pool, SequenceState& s, std::span<const Key> more) {
  ASSERT_TRUE(pool.reserve(s, static_cast<int>(more.size())).has_value());
  const Pos from = s.length();
  pool.advance(s, more);
  const StateLayout& layout = pool.layout();
  for (Pos p = from; p < s.length(); ++p) {
    const std::uint64_t value = content(s, p);
    for (int stream = 0; stream < 2; ++stream) {
      const int ratio = layout.streams[stream].tokens_per_row;
      if ((p + 1) % ratio != 0) continue;
      const Pos row = p / ratio;
      const int per_page = pool.rows_per_page(stream);
      std::memcpy(pool.stream_base(stream) + s.pages()[row / per_page] * pool.stream_page_stride(stream) +
                      (row % per_page) * 8,
                  &value, 8);
    }
    for (int ring = 0; ring < 2; ++ring) {
      std::memcpy(s.tail() + layout.tail_offset(ring) + (p % layout.tail[ring].capacity) * 8, &value, 8);
    }
  }
}

// Everything a model would read at this length is what was written for these keys.
void check(const StatePool& pool, const SequenceState& s) {
  const StateLayout& layout = pool.layout();
  for (int stream = 0; stream < 2; ++stream) {
    const int ratio = layout.streams[stream].tokens_per_row;
    const int per_page = pool.rows_per_page(stream);
    for (Pos row = 0; row < s.length() / ratio; ++row) {
      std::uint64_t value;
      std::memcpy(&value,
                  pool.stream_base(stream) + s.pages()[row / per_page] * pool.stream_page_stride(stream) +
                      (row % per_page) * 8,
                  8);
      ASSERT_EQ(value, content(s, row * ratio + ratio - 1)) << "stream " << stream << " row " << row;
    }
  }
  for (int ring = 0; ring < 2; ++ring) {
    for (Pos p = s.length() - layout.tail[ring].needed(s.length()); p < s.length(); ++p) {
      std::uint64_t value;
      std::memcpy(&value, s.tail() + layout.tail_offset(ring) + (p % layout.tail[ring].capacity) * 8, 8);
      ASSERT_EQ(value, content(s, p)) << "ring " << ring << " position " << p;
    }
  }
}

TEST(StatePool, RefusesAStreamThatDoesNotFitThePage) {
  auto d = device();
  StateLayout layout = small_layout();
  layout.streams[1].tokens_per_row = 3;
  auto made = StatePool::create(*d, layout, {4, 1, 0});
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().message.find("fourth"), std::string::npos);
}

TEST(StatePool, RunsOutOfPagesAndOfSequencesWithASentence) {
  auto d = device();
  auto p = pool(*d, 2, 1);
  SequenceState s = std::move(*p->open({}));
  EXPECT_FALSE(p->open({}).has_value());
  EXPECT_TRUE(p->reserve(s, 16).has_value());
  const Status full = p->reserve(s, 17);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, Code::kExhausted);
  s = SequenceState();
  EXPECT_EQ(p->stats().pages_free, 2);
  EXPECT_EQ(p->stats().sequences, 0);
}

TEST(StatePool, StartsFromTheLongestPublishedPrefixOnly) {
  auto d = device();
  auto p = pool(*d, 16, 4);
  const auto k = keys(40);
  {
    SequenceState s = std::move(*p->open(k));
    EXPECT_EQ(s.length(), 0);
    write(*p, s, std::span(k).first(8));
    p->publish(s);
    write(*p, s, std::span(k).subspan(8, 3));
    p->publish(s);  // 11 is no multiple of the page: nothing happens
    write(*p, s, std::span(k).subspan(11, 5));
    p->publish(s);
  }
  EXPECT_EQ(p->stats().snapshots, 2);
  SequenceState again = std::move(*p->open(k));
  EXPECT_EQ(again.length(), 16);
  check(*p, again);
  write(*p, again, std::span(k).subspan(16));
  check(*p, again);
  // A prompt that is exactly the prefix leaves something to compute.
  SequenceState exact = std::move(*p->open(std::span(k).first(16)));
  EXPECT_EQ(exact.length(), 8);
  // Another prompt with another key in the first page shares nothing; another tenant neither.
  auto other = k;
  other[3] = 999;
  EXPECT_EQ(p->open(other)->length(), 0);
  EXPECT_EQ(p->open(k, 7)->length(), 0);
}

TEST(StatePool, ReopensFromAPrefixThatWasPublishedMeanwhile) {
  auto d = device();
  auto p = pool(*d, 12, 3);
  const auto k = keys(40);
  SequenceState first = std::move(*p->open(k));
  write(*p, first, std::span(k).first(8));
  p->publish(first);
  SequenceState second = std::move(*p->open(k));
  ASSERT_TRUE(p->reserve(second, 32));
  EXPECT_EQ(second.length(), 8);
  EXPECT_FALSE(p->reopen(second, k)) << "nothing longer was published";
  write(*p, first, std::span(k).subspan(8, 19));
  ASSERT_TRUE(p->truncate(first, 24));
  p->publish(first);
  const int free = p->stats().pages_free;
  ASSERT_TRUE(p->reopen(second, k));
  EXPECT_EQ(second.length(), 24);
  EXPECT_EQ(p->stats().pages_free, free + 4) << "its own pages went back";
  EXPECT_EQ(p->stats().reused_tokens, 24u);
  check(*p, second);
  write(*p, second, std::span(k).subspan(24));
  check(*p, second);
  // Nothing of another prompt.
  auto other = k;
  other[20] = 999;
  SequenceState third = std::move(*p->open(std::span(other).first(7)));
  ASSERT_TRUE(p->reopen(third, other));
  EXPECT_EQ(third.length(), 8);
}

TEST(StatePool, GivesPublishedPagesBackWhenRoomIsShort) {
  auto d = device();
  auto p = pool(*d, 4, 2);
  {
    SequenceState s = std::move(*p->open({}));
    write(*p, s, keys(8));
    p->publish(s);
  }
  EXPECT_EQ(p->stats().pages_free, 3);
  SequenceState s = std::move(*p->open(keys(30, 500)));
  write(*p, s, keys(32, 500));
  EXPECT_EQ(p->stats().snapshots, 0);
  EXPECT_EQ(p->stats().evictions, 1u);
  check(*p, s);
}

TEST(StatePool, KeepsSnapshotsWithinTheirBudgetOldestFirst) {
  auto d = device();
  const std::size_t one = small_layout().packed_tail_bytes(8) + 8 * sizeof(Key);
  auto p = pool(*d, 16, 2, 2 * one);
  for (Key salt : {100, 200, 300}) {
    SequenceState s = std::move(*p->open({}));
    write(*p, s, keys(8, salt));
    p->publish(s);
    if (salt == 200) {  // used: now the youngest
      EXPECT_EQ(p->open(keys(9, 100))->length(), 8);
    }
  }
  EXPECT_EQ(p->stats().snapshots, 2);
  EXPECT_EQ(p->open(keys(9, 100))->length(), 8);
  EXPECT_EQ(p->open(keys(9, 200))->length(), 0);
  EXPECT_EQ(p->open(keys(9, 300))->length(), 8);
}

TEST(StatePool, WritesToACopyOfASharedPage) {
  auto d = device();
  auto p = pool(*d, 8, 3);
  SequenceState writer = std::move(*p->open({}));
  write(*p, writer, keys(8));
  p->publish(writer);
  ASSERT_TRUE(p->truncate(writer, 6).has_value());
  write(*p, writer, keys(5, 700));
  check(*p, writer);
  SequenceState reader = std::move(*p->open(keys(9)));
  ASSERT_EQ(reader.length(), 8);
  check(*p, reader);
}

TEST(StatePool, TruncatesExactlyAndNoFurtherThanItKept) {
  auto d = device();
  auto p = pool(*d, 16, 2);
  SequenceState s = std::move(*p->open({}));
  write(*p, s, keys(20));
  EXPECT_FALSE(p->truncate(s, 16).has_value());
  ASSERT_TRUE(p->truncate(s, 17).has_value());
  check(*p, s);
  EXPECT_FALSE(p->truncate(s, 16).has_value());  // still counted from where it had been
  write(*p, s, keys(10, 300));
  check(*p, s);
  ASSERT_TRUE(p->truncate(s, 0).has_value());
  write(*p, s, keys(4, 400));
  check(*p, s);
}

TEST(StatePool, CannotGoBackBehindASnapshot) {
  auto d = device();
  auto p = pool(*d, 16, 2);
  {
    SequenceState s = std::move(*p->open({}));
    write(*p, s, keys(8));
    p->publish(s);
  }
  SequenceState s = std::move(*p->open(keys(20)));
  ASSERT_EQ(s.length(), 8);
  write(*p, s, keys(1, 50));
  EXPECT_TRUE(p->can_truncate(s, 8));
  EXPECT_FALSE(p->can_truncate(s, 7));
}

TEST(StatePool, ReturnsExactlyWhatWasSavedAtEveryLength) {
  auto d = device();
  auto p = pool(*d, 16, 2);
  for (int n = 0; n <= 33; ++n) {
    std::vector<std::byte> saved;
    {
      SequenceState s = std::move(*p->open({}));
      write(*p, s, keys(n, 40));
      saved = p->save(s);
    }
    auto loaded = p->load(saved);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    EXPECT_EQ(loaded->length(), n);
    check(*p, *loaded);
    write(*p, *loaded, keys(5, 90));
    check(*p, *loaded);
  }
}

TEST(StatePool, RefusesEveryDamagedSavedState) {
  auto d = device();
  auto p = pool(*d, 16, 2);
  SequenceState s = std::move(*p->open({}));
  write(*p, s, keys(13));
  const std::vector<std::byte> saved = p->save(s);
  for (std::size_t cut = 0; cut < saved.size(); ++cut) {
    auto loaded = p->load(std::span(saved).first(cut));
    ASSERT_FALSE(loaded.has_value()) << cut;
    EXPECT_EQ(loaded.error().code, Code::kCorrupt);
  }
  for (std::size_t i = 0; i < saved.size(); ++i) {
    auto damaged = saved;
    damaged[i] ^= std::byte{0x10};
    ASSERT_FALSE(p->load(damaged).has_value()) << "byte " << i;
  }
  auto longer = saved;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(p->load(longer).has_value());
}

TEST(StatePool, RefusesAStateOfAnotherLayoutByName) {
  auto d = device();
  auto p = pool(*d, 16, 2);
  SequenceState s = std::move(*p->open({}));
  write(*p, s, keys(13));
  StateLayout other = small_layout();
  other.streams[0].bytes_per_row = 16;
  auto loaded = decode_saved_state(other, p->save(s));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, Code::kUnsupported);
}

// Random life of several sequences: nobody ever reads what another wrote.
TEST(StatePool, StaysExactThroughARandomLife) {
  auto d = device();
  auto p = pool(*d, 24, 5, 4000);
  std::mt19937 random(1);
  std::vector<SequenceState> alive;
  std::vector<std::vector<std::byte>> parked;
  for (int step = 0; step < 4000; ++step) {
    const int what = static_cast<int>(random() % 8);
    if (what == 0 && alive.size() < 5) {
      auto s = p->open(keys(40, 100 * (random() % 3)));
      if (s) alive.push_back(std::move(*s));
      continue;
    }
    if (what == 1 && !parked.empty()) {
      auto s = p->load(parked.back());
      parked.pop_back();
      if (s) alive.push_back(std::move(*s));
      continue;
    }
    if (alive.empty()) continue;
    const std::size_t i = random() % alive.size();
    SequenceState& s = alive[i];
    if (what == 2) {
      p->publish(s);
    } else if (what == 3) {
      const Pos back = static_cast<Pos>(random() % 4);
      if (p->can_truncate(s, s.length() - back)) {
        ASSERT_TRUE(p->truncate(s, s.length() - back).has_value());
      }
    } else if (what == 4) {
      if (random() % 2) parked.push_back(p->save(s));
      if (parked.size() > 3) parked.erase(parked.begin());
      alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    } else {
      const int n = 1 + static_cast<int>(random() % 6);
      const Key salt = random() % 8 ? 100 * (s.length() > 0 ? s.keys()[0] / 100 : random() % 3) + s.length()
                                    : 5000 + random() % 10;
      if (s.length() + n > 60 || !p->reserve(s, n)) continue;
      write(*p, s, keys(n, salt));
    }
    check(*p, s);
  }
  alive.clear();
  p->forget_published();
  EXPECT_EQ(p->stats().pages_free, 24);
  EXPECT_EQ(p->stats().snapshot_bytes, 0u);
}

}  // namespace
}  // namespace plumb
