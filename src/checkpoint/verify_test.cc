#include "checkpoint/verify.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/digest.h"
#include "base/file.h"
#include "base/temp_dir_for_tests.h"
#include "checkpoint/safetensors_writer.h"

namespace plumb {
namespace {

// One shard with zeros everywhere but in `patch` (offset in the data section, bytes).
std::unique_ptr<WeightStore> store_with(const TempDir& dir, const std::vector<TensorPlan>& tensors,
                                        std::size_t at, const std::string& patch) {
  const ShardPlan plan{"model.safetensors", tensors};
  std::string data(plan.data_bytes(), '\0');
  data.replace(at, patch.size(), patch);
  EXPECT_TRUE(write_file_atomically(dir / plan.file, safetensors_header(tensors) + data));
  EXPECT_TRUE(write_file_atomically(dir / "config.json", "{}"));
  auto store = WeightStore::open(dir.path());
  EXPECT_TRUE(store);
  return std::move(*store);
}

TEST(VerifyShard, DigestsTheWholeFile) {
  TempDir dir;
  const auto store = store_with(dir, {{"a", Element::kF32, {3}}, {"b", Element::kI8, {2'500'000}}},
                                100, "something");
  std::uint64_t last = 0;
  const auto check = verify_shard(*store, 0, [&](std::uint64_t done) {
    EXPECT_GT(done, last);
    last = done;
  });
  EXPECT_EQ(check.sha256, sha256_hex(*read_file(dir / "model.safetensors")));
  EXPECT_EQ(last, store->shards()[0].bytes);
  EXPECT_TRUE(check.bad.empty());
}

struct Case {
  Element element;
  std::string bytes;
  bool bad;
};

TEST(VerifyShard, FindsCodesThatAreNoNumbers) {
  using std::string;
  const Case cases[] = {
      {Element::kF8E4M3, "\x7f", true},
      {Element::kF8E4M3, "\xff", true},
      {Element::kF8E4M3, "\x7e", false},  // 448
      {Element::kF8E8M0, "\xff", true},
      {Element::kF8E8M0, "\x7f", false},  // 1
      {Element::kBF16, string("\xc0\x7f", 2), true},
      {Element::kBF16, string("\x80\xff", 2), true},   // -infinity
      {Element::kBF16, string("\x7f\x7f", 2), false},  // the largest
      {Element::kF16, string("\x00\x7c", 2), true},
      {Element::kF16, string("\xff\x7b", 2), false},
      {Element::kF32, string("\x00\x00\x80\x7f", 4), true},
      {Element::kF32, string("\xff\xff\x7f\x7f", 4), false},
      {Element::kI8, "\xff", false},
      {Element::kI64, string(8, '\xff'), false},
  };
  for (const Case& c : cases) {
    TempDir dir;
    const std::size_t at = 5 * c.bytes.size();  // the sixth element of the first tensor
    const auto store =
        store_with(dir, {{"x", c.element, {9}}, {"y", Element::kF32, {2}}}, at, c.bytes);
    const auto check = verify_shard(*store, 0, {});
    ASSERT_EQ(check.bad.size(), c.bad ? 1u : 0u) << static_cast<int>(c.element);
    if (!c.bad) continue;
    EXPECT_EQ(check.bad[0].tensor, "x");
    EXPECT_EQ(check.bad[0].count, 1u);
    EXPECT_EQ(check.bad[0].first, 5u);
  }
}

TEST(VerifyShard, CountsAcrossPieces) {
  TempDir dir;
  constexpr std::size_t kN = 3 << 20;
  const auto store =
      store_with(dir, {{"x", Element::kF8E8M0, {kN}}}, (1 << 20) - 2, std::string(5, '\xff'));
  const auto check = verify_shard(*store, 0, {});
  ASSERT_EQ(check.bad.size(), 1u);
  EXPECT_EQ(check.bad[0].count, 5u);
  EXPECT_EQ(check.bad[0].first, (1u << 20) - 2);
}

}  // namespace
}  // namespace plumb
