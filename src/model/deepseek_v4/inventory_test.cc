#include "model/deepseek_v4/inventory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "base/temp_dir_for_tests.h"
#include "checkpoint/safetensors_writer.h"
#include "model/deepseek_v4/names.h"
#include "model/deepseek_v4/random_checkpoint.h"
#include "tensor/format.h"
#include "tensor/number.h"

namespace plumb::deepseek_v4 {
namespace {

Config builtin(std::string_view name) { return *builtin_config(name); }

std::uint64_t published_bytes(const std::vector<PublishedTensor>& tensors) {
  std::uint64_t sum = 0;
  for (const PublishedTensor& t : tensors) {
    std::size_t count = 1;
    for (const std::int64_t extent : t.shape) count *= static_cast<std::size_t>(extent);
    sum += element_bytes(t.element, count);
  }
  return sum;
}

std::unique_ptr<WeightStore> open(const std::filesystem::path& directory) {
  auto store = WeightStore::open(directory, {.headers_only = false, .canonical = canonical_name});
  EXPECT_TRUE(store) << store.error().message;
  return store ? std::move(*store) : nullptr;
}

std::unique_ptr<WeightStore> open_headers_of_tiny(const TempDir& dir) {
  RandomOptions options;
  options.headers_only = true;
  EXPECT_TRUE(write_random_checkpoint(dir / "m", builtin("tiny"), options));
  return open(dir / "m");
}

TEST(Inventory, CountsThePublishedIndexTotals) {
  const auto flash = published_tensors(inventory(builtin("v4-flash")), ExpertFormat::kFp4);
  EXPECT_EQ(flash.size(), 69'187u);
  EXPECT_EQ(published_bytes(flash), 159'609'485'896u);
  const auto pro = published_tensors(inventory(builtin("v4-pro")), ExpertFormat::kFp4);
  EXPECT_EQ(pro.size(), 145'116u);
  EXPECT_EQ(published_bytes(pro), 864'704'792'696u);
}

TEST(Inventory, NamesShapesAndTypesAsPublished) {
  std::map<std::string, PublishedTensor> flash;
  for (auto& t : published_tensors(inventory(builtin("v4-flash")), ExpertFormat::kFp4)) {
    flash.emplace(t.name, t);
  }
  const auto is = [&](const char* name, Element element, std::vector<std::int64_t> shape) {
    const auto it = flash.find(name);
    ASSERT_NE(it, flash.end()) << name;
    EXPECT_EQ(it->second.element, element) << name;
    EXPECT_EQ(it->second.shape, shape) << name;
  };
  is("embed.weight", Element::kBF16, {129280, 4096});
  is("hc_head_fn", Element::kF32, {4, 16384});
  is("layers.2.attn.wq_b.weight", Element::kF8E4M3, {32768, 1024});
  is("layers.2.attn.wq_b.scale", Element::kF8E8M0, {256, 8});
  is("layers.2.attn.wo_a.weight", Element::kF8E4M3, {8192, 4096});
  is("layers.2.attn.compressor.ape", Element::kF32, {4, 1024});
  is("layers.3.attn.compressor.ape", Element::kF32, {128, 512});
  is("layers.2.attn.indexer.compressor.wkv.weight", Element::kBF16, {256, 4096});
  is("layers.2.ffn.gate.tid2eid", Element::kI64, {129280, 6});
  is("layers.3.ffn.gate.bias", Element::kF32, {256});
  is("layers.42.ffn.experts.255.w1.weight", Element::kI8, {2048, 2048});
  is("layers.42.ffn.experts.255.w2.scale", Element::kF8E8M0, {4096, 64});
  is("mtp.0.e_proj.scale", Element::kF8E8M0, {32, 32});
  is("mtp.0.ffn.gate.bias", Element::kF32, {256});
  EXPECT_EQ(flash.count("layers.3.attn.indexer.wq_b.weight"), 0u);
  EXPECT_EQ(flash.count("layers.2.ffn.gate.bias"), 0u);
  EXPECT_EQ(flash.count("mtp.0.attn.compressor.ape"), 0u);
}

// What a token reads of the tiny model, counted by hand from the shapes.
TEST(Inventory, CountsWhatAStepReads) {
  const TempDir dir;
  const auto store = open_headers_of_tiny(dir);
  ASSERT_NE(store, nullptr);
  const auto totals = check_inventory(builtin("tiny"), *store);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->expert_bytes, 3u * (128 * 128 / 2 + 128 * 4));
  EXPECT_EQ(totals->lookup_bytes, 128u * 2 + 2 * 8);
  const auto bytes = [&](Part part) { return totals->parts[static_cast<int>(part)].bytes; };
  EXPECT_EQ(totals->step_bytes + 384 * totals->lookup_bytes,
            totals->all.bytes - bytes(Part::kExperts) - bytes(Part::kDraft));
  EXPECT_EQ(totals->active_bytes, totals->step_bytes + 5u * 2 * totals->expert_bytes);
}

class Random : public testing::TestWithParam<ExpertFormat> {};

TEST_P(Random, CheckpointMatchesItsInventoryAndKeepsItsSize) {
  TempDir dir;
  RandomOptions options;
  options.experts = GetParam();
  options.max_shard_bytes = 1 << 20;
  const Status written = write_random_checkpoint(dir / "m", builtin("tiny"), options);
  ASSERT_TRUE(written) << written.error().message;
  const auto store = open(dir / "m");
  ASSERT_NE(store, nullptr);
  EXPECT_GT(store->shards().size(), 1u);
  const auto config = Config::parse(store->config_json());
  ASSERT_TRUE(config);
  const auto totals = check_inventory(*config, *store);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->all.tensors, store->tensors().size());
  EXPECT_EQ(totals->all.bytes, store->total_bytes());
  const bool fp4 = GetParam() == ExpertFormat::kFp4;
  EXPECT_EQ(totals->expert_format, fp4 ? kFormatMxF4 : kFormatF8Block128);
  EXPECT_EQ(totals->linear_format, kFormatF8Block128);
}

INSTANTIATE_TEST_SUITE_P(Experts, Random, testing::Values(ExpertFormat::kFp4, ExpertFormat::kFp8));

// Mean square of a matrix, times its inputs: the square of its gain.
double gain_of(const WeightStore& store, const std::string& name, const Format& format) {
  const StoredTensor* data = store.find(name + ".weight");
  const StoredTensor* scale = store.find(name + ".scale");
  WeightView view;
  view.data = store.data(*data).data();
  view.scales = scale != nullptr ? store.data(*scale).data() : nullptr;
  view.format = format;
  view.rows = static_cast<int>(data->shape[0]);
  view.cols = static_cast<int>(data->shape[1]) * (format.element == Element::kF4E2M1 ? 2 : 1);
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  double sum = 0;
  for (int r = 0; r < view.rows; ++r) {
    dequantise(view, r, row);
    for (const float x : row) sum += static_cast<double>(x) * x;
  }
  return std::sqrt(sum / view.rows);
}

TEST(RandomCheckpoint, MatricesHaveTheirGainWhateverTheirFormat) {
  TempDir dir;
  ASSERT_TRUE(write_random_checkpoint(dir / "fp4", builtin("tiny"), {}));
  RandomOptions fp8;
  fp8.experts = ExpertFormat::kFp8;
  ASSERT_TRUE(write_random_checkpoint(dir / "fp8", builtin("tiny"), fp8));
  const auto a = open(dir / "fp4"), b = open(dir / "fp8");
  EXPECT_NEAR(gain_of(*a, "layers.1.attn.wq_b", kFormatF8Block128), 1.2, 0.05);
  EXPECT_NEAR(gain_of(*a, "layers.1.ffn.experts.3.w1", kFormatMxF4), 1.2, 0.15);
  EXPECT_NEAR(gain_of(*b, "layers.1.ffn.experts.3.w1", kFormatF8Block128), 1.2, 0.05);
  EXPECT_NEAR(gain_of(*b, "layers.1.ffn.experts.3.w2", kFormatF8Block128), 2.0, 0.08);
  EXPECT_NEAR(gain_of(*a, "layers.1.ffn.gate", kFormatBF16), 2.5, 0.2);
}

TEST(RandomCheckpoint, DependsOnTheSeedAlone) {
  TempDir dir;
  RandomOptions one, other, cut;
  other.seed = 2;
  cut.max_shard_bytes = 300'000;  // other files, same tensors
  ASSERT_TRUE(write_random_checkpoint(dir / "a", builtin("tiny"), one));
  ASSERT_TRUE(write_random_checkpoint(dir / "b", builtin("tiny"), cut));
  ASSERT_TRUE(write_random_checkpoint(dir / "c", builtin("tiny"), other));
  const auto a = open(dir / "a"), b = open(dir / "b"), c = open(dir / "c");
  ASSERT_EQ(a->tensors().size(), b->tensors().size());
  std::size_t differ = 0;
  for (std::size_t i = 0; i < a->tensors().size(); ++i) {
    const auto x = a->data(a->tensors()[i]), y = b->data(b->tensors()[i]),
               z = c->data(c->tensors()[i]);
    ASSERT_TRUE(std::equal(x.begin(), x.end(), y.begin(), y.end())) << a->tensors()[i].name;
    if (!std::equal(x.begin(), x.end(), z.begin(), z.end())) ++differ;
  }
  EXPECT_GT(differ, a->tensors().size() * 9 / 10);
  EXPECT_NE(a->identity(), c->identity());
}

// Figures measured with a seed can be measured again: what it means does not change.
TEST(RandomCheckpoint, TheSeedMeansTheseBytes) {
  TempDir dir;
  ASSERT_TRUE(write_random_checkpoint(dir / "m", builtin("tiny"), {}));
  const auto shard = read_file(dir / "m" / "model-00001-of-00001.safetensors");
  ASSERT_TRUE(shard);
  EXPECT_EQ(sha256_hex(*shard), "280e5c123d90c11120218f50ff79ec8520c16a77df5971afcc1449877091d298");
}

TEST(RandomCheckpoint, HashTablesNameDistinctExperts) {
  TempDir dir;
  const Config config = builtin("tiny");
  ASSERT_TRUE(write_random_checkpoint(dir / "m", config, {}));
  const auto store = open(dir / "m");
  const auto bytes = store->data(*store->find("layers.0.ffn.gate.tid2eid"));
  std::set<std::int64_t> used;
  for (int row = 0; row < config.vocab; ++row) {
    std::int64_t ids[2];
    std::memcpy(ids, bytes.data() + row * 16, 16);
    EXPECT_NE(ids[0], ids[1]);
    for (const std::int64_t id : ids) {
      ASSERT_GE(id, 0);
      ASSERT_LT(id, config.experts);
      used.insert(id);
    }
  }
  EXPECT_EQ(used.size(), static_cast<std::size_t>(config.experts));
}

TEST(RandomCheckpoint, RefusesADirectoryThatHoldsAModel) {
  TempDir dir;
  ASSERT_TRUE(write_random_checkpoint(dir / "m", builtin("tiny"), {}));
  const Status again = write_random_checkpoint(dir / "m", builtin("tiny"), {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kInvalid);
}

TEST(RandomCheckpoint, SparseShardsHaveTheRightLengths) {
  const TempDir dir;
  const auto store = open_headers_of_tiny(dir);
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(check_inventory(builtin("tiny"), *store));
}

// A one-shard checkpoint with the tiny config whose tensor list was changed by `change`.
template <class Change>
std::string refusal_after(Change change) {
  TempDir dir;
  ShardPlan shard{"model.safetensors", {}};
  for (auto& t : published_tensors(inventory(builtin("tiny")), ExpertFormat::kFp4)) {
    shard.tensors.push_back({t.name, t.element, t.shape});
  }
  change(shard.tensors);
  EXPECT_TRUE(write_sparse_shard(dir.path(), shard));
  EXPECT_TRUE(write_file_atomically(dir / "config.json", published_config_json(builtin("tiny"))));
  const auto store = open(dir.path());
  if (store == nullptr) return "";
  const auto totals = check_inventory(builtin("tiny"), *store);
  return totals ? "" : totals.error().message;
}

TensorPlan& named(std::vector<TensorPlan>& tensors, const std::string& name) {
  for (TensorPlan& t : tensors) {
    if (t.name == name) return t;
  }
  ADD_FAILURE() << name;
  return tensors[0];
}

TEST(Inventory, RefusalsNameTheTensorAndBothSides) {
  using Plans = std::vector<TensorPlan>;
  EXPECT_EQ(refusal_after([](Plans&) {}), "");
  std::string m = refusal_after([](Plans& t) {
    named(t, "layers.1.attn.wq_a.weight").shape = {64, 128};
  });
  EXPECT_EQ(m, "Tensor layers.1.attn.wq_a.weight is F8_E4M3 [64, 128], expected [128, 128].");
  m = refusal_after([](Plans& t) { named(t, "layers.1.attn.wq_a.scale").shape = {1, 2}; });
  EXPECT_EQ(m, "Tensor layers.1.attn.wq_a.scale is F8_E8M0 [1, 2], expected F8_E8M0 [1, 1].");
  m = refusal_after([](Plans& t) { named(t, "layers.1.attn.wq_a.weight").element = Element::kU8; });
  EXPECT_NE(m.find("is U8 [128, 128], expected F8_E4M3"), std::string::npos) << m;
  m = refusal_after(
      [](Plans& t) { named(t, "layers.1.attn.wq_a.weight").element = Element::kBF16; });
  EXPECT_NE(m.find("layers.1.attn.wq_a.scale has no use"), std::string::npos) << m;
  m = refusal_after([](Plans& t) { named(t, "hc_head_fn").name = "hc_head_fm"; });
  EXPECT_NE(m.find("lacks 1 tensors"), std::string::npos) << m;
  EXPECT_NE(m.find("hc_head_fn"), std::string::npos) << m;
  m = refusal_after([](Plans& t) { t.push_back({"extra.weight", Element::kBF16, {2, 2}}); });
  EXPECT_NE(m.find("extra.weight"), std::string::npos) << m;
  m = refusal_after([](Plans& t) {
    t.erase(t.begin() + (&named(t, "layers.1.ffn.experts.0.w1.scale") - t.data()));
  });
  EXPECT_NE(m.find("layers.1.ffn.experts.0.w1.scale is missing"), std::string::npos) << m;
}

TEST(Inventory, TakesTheGoldenCheckpointsPlainMatrices) {
  for (const char* name : {"plain_a", "plain_b", "plain_c"}) {
    const auto store = open(std::string(PLUMB_SOURCE_DIR) + "/tests/golden/" + name);
    ASSERT_NE(store, nullptr);
    const auto config = Config::parse(store->config_json());
    ASSERT_TRUE(config) << config.error().message;
    const auto totals = check_inventory(*config, *store);
    ASSERT_TRUE(totals) << name << ": " << totals.error().message;
    EXPECT_EQ(totals->expert_format.scale, ScaleType::kNone);
  }
}

}  // namespace
}  // namespace plumb::deepseek_v4
