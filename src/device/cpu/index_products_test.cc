// Scores of packed keys by integers, against those of unpacked keys, bit for bit.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "device/cpu/isa.h"
#include "tensor/row_format.h"

namespace plumb::cpu {
namespace {

constexpr int kDim = kPackedIndexDim, kHeads = 7;

enum Kind { kOrdinary, kUneven, kZeros, kFarApart, kTiny, kNoNumber };

class Rows {
 public:
  // Rows as the quantiser makes them: unpacked, and packed behind each other.
  Rows(int count, std::vector<Kind> kinds, unsigned seed) : random_(seed) {
    const std::size_t bytes = row_bytes(kRowE2M1, kDim);
    packed_.resize(static_cast<std::size_t>(count) * bytes);
    values_.resize(static_cast<std::size_t>(count * kDim));
    for (int i = 0; i < count; ++i) {
      const std::vector<float> x = row(kinds[random_() % kinds.size()]);
      std::byte* to = packed_.data() + static_cast<std::size_t>(i) * bytes;
      encode_row(kRowE2M1, x.data(), kDim, to);
      decode_row(kRowE2M1, to, kDim, values_.data() + i * kDim);
      pointers_.push_back(to);
      value_pointers_.push_back(values_.data() + i * kDim);
    }
  }
  const std::byte* const* packed() const { return pointers_.data(); }
  const float* const* values() const { return value_pointers_.data(); }
  float* data() { return values_.data(); }

 private:
  std::vector<float> row(Kind kind) {
    std::normal_distribution<float> normal;
    std::vector<float> x(kDim);
    for (int i = 0; i < kDim; ++i) {
      float by = 1;
      const int block = i / 32, any = static_cast<int>(random_() % 4);
      if (kind == kUneven) by = block > 1 ? 4.0f : 1.0f;  // scales up to 8 times the least
      if (kind == kZeros && block != 1) by = 0;
      if (kind == kFarApart) by = std::ldexp(1.0f, 9 * block - 12);
      if (kind == kTiny) by = std::ldexp(1.0f, -127 + 20 * any);
      x[static_cast<std::size_t>(i)] = normal(random_) * by;
    }
    if (kind == kNoNumber) x[70] = HUGE_VALF;
    return x;
  }

  std::mt19937 random_;
  std::vector<std::byte> packed_;
  std::vector<float> values_;
  std::vector<const std::byte*> pointers_;
  std::vector<const float*> value_pointers_;
};

// The integer scores of `count` keys by one token's queries, and whether its first head had
// integers.
std::vector<float> products(const KernelTable& table, const Rows& keys, int count, const float* q,
                            const std::vector<float>& w, bool* integers) {
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_query_bytes(kHeads)));
  table.pack_index_queries(q, kHeads, packed.data());
  float scale = 0;
  std::memcpy(&scale, packed.data() + kHeads * kPackedIndexCodes, sizeof scale);
  *integers = scale != 0;
  std::vector<float> score(kPackedIndexKeys, -7), scratch(kPackedIndexKeys * kDim);
  const std::byte* one_packed = packed.data();
  const float* one_w = w.data();
  float* one_score = score.data();
  table.index_products(
      {keys.packed(), count, kHeads, 1, &q, &one_packed, &one_w, &one_score, scratch.data()});
  score.resize(static_cast<std::size_t>(count));
  return score;
}

void expect_same(std::vector<Kind> keys_are, std::vector<Kind> queries_are, bool integers) {
  for (const KernelTable* table : usable_tiers()) {
    if (table->index_products == nullptr) continue;
    for (unsigned seed = 0; seed < 60; ++seed) {
      const int count = seed % 3 == 0 ? 1 + static_cast<int>(seed) : kPackedIndexKeys;
      const Rows keys(count, keys_are, seed);
      Rows queries(kHeads, queries_are, seed + 1000);
      std::mt19937 random(seed);
      std::normal_distribution<float> normal;
      std::vector<float> w(kHeads), expected(static_cast<std::size_t>(count));
      for (float& x : w) x = normal(random);
      bool had_integers = false;
      const std::vector<float> score =
          products(*table, keys, count, queries.data(), w, &had_integers);
      if (queries_are.size() == 1) {
        EXPECT_EQ(had_integers, integers);
      }
      table->index_scores(queries.data(), w.data(), kHeads, kDim, keys.values(), count,
                          expected.data());
      for (std::size_t i = 0; i < score.size(); ++i) {
        ASSERT_EQ(float_bits(score[i]), float_bits(expected[i]))
            << table->name << ", seed " << seed << ", key " << i << ": " << score[i]
            << ", expected " << expected[i];
      }
    }
  }
}

TEST(IndexProducts, AreTheChainsBits) {
  expect_same({kOrdinary}, {kOrdinary}, true);
  expect_same({kUneven}, {kUneven}, true);
  expect_same({kZeros}, {kZeros}, true);
  expect_same({kOrdinary}, {kFarApart}, false);
  expect_same({kFarApart}, {kOrdinary}, true);
  expect_same({kTiny}, {kTiny}, false);
  expect_same({kNoNumber, kOrdinary}, {kOrdinary}, true);
  expect_same({kOrdinary, kUneven, kZeros, kFarApart, kTiny, kNoNumber},
              {kOrdinary, kUneven, kZeros, kFarApart, kTiny}, true);
}

// Queries that are no codes of the format take the other loop.
TEST(IndexProducts, AreLeftToTheChainsForOtherQueries) {
  for (const KernelTable* table : usable_tiers()) {
    if (table->index_products == nullptr) continue;
    const Rows keys(kPackedIndexKeys, {kOrdinary}, 1);
    Rows queries(kHeads, {kOrdinary}, 2);
    queries.data()[5] *= 1.01f;
    const std::vector<float> w(kHeads, 1.0f);
    std::vector<float> expected(kPackedIndexKeys);
    bool integers = true;
    const std::vector<float> score =
        products(*table, keys, kPackedIndexKeys, queries.data(), w, &integers);
    EXPECT_FALSE(integers);
    table->index_scores(queries.data(), w.data(), kHeads, kDim, keys.values(), kPackedIndexKeys,
                        expected.data());
    EXPECT_EQ(score, expected);
  }
}

}  // namespace
}  // namespace plumb::cpu
