// A state that was filled, not read: it decodes like any other, and is what its seed says.
#include <gtest/gtest.h>

#include <cmath>

#include "base/temp_dir_for_tests.h"
#include "device/device.h"
#include "model/deepseek_v4/model.h"
#include "model/deepseek_v4/names.h"
#include "model/deepseek_v4/random_checkpoint.h"

namespace plumb::deepseek_v4 {
namespace {

class Fill : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Config config = *builtin_config("tiny");
    ASSERT_TRUE(write_random_checkpoint(dir_ / "m", config, {}));
    auto store =
        WeightStore::open(dir_ / "m", {.headers_only = false, .canonical = canonical_name});
    ASSERT_TRUE(store);
    store_ = *std::move(store);
    auto device = open_device({"auto", "auto", 2});
    ASSERT_TRUE(device);
    device_ = *std::move(device);
    LoadOptions load;
    if (GetParam() == std::string("vendor")) load.numerics = Numerics::vendor();
    load.max_draft = 1;
    load.max_step_tokens = 48;  // less than a ring and the rows of a state hold
    auto model = deepseek_v4::load(*store_, config, *device_, load);
    ASSERT_TRUE(model) << model.error().message;
    model_ = *std::move(model);
    auto pool = StatePool::create(*device_, model_->state_layout(), {16, 2, 0});
    ASSERT_TRUE(pool);
    pool_ = *std::move(pool);
    model_->attach(*pool_);
  }

  // Logits of three tokens after a filled state of `depth`.
  std::vector<float> logits(Pos depth, std::uint64_t seed) {
    auto state = pool_->open({});
    EXPECT_TRUE(state);
    EXPECT_TRUE(pool_->reserve(*state, static_cast<int>(depth)));
    EXPECT_TRUE(model_->fill(*state, depth, seed));
    pool_->advance(*state, std::vector<Key>(static_cast<std::size_t>(depth), 5));
    EXPECT_TRUE(pool_->reserve(*state, 3));
    const std::vector<Token> tokens = {7, 8, 9};
    const BatchItem item{&*state, tokens, 1};
    const auto out = model_->forward({&item, 1});
    EXPECT_TRUE(out);
    const auto row = out->span(0);
    return {row.begin(), row.end()};
  }

  TempDir dir_;
  std::unique_ptr<WeightStore> store_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<StatePool> pool_;
};

TEST_P(Fill, DecodesFromThereAndDependsOnTheSeed) {
  for (const Pos depth : {1, 31, 130, 1029}) {
    const auto a = logits(depth, 1), again = logits(depth, 1), other = logits(depth, 2);
    EXPECT_EQ(a, again) << depth;
    EXPECT_NE(a, other) << depth;
    for (const float x : a) ASSERT_TRUE(std::isfinite(x)) << depth;
  }
}

// What is filled is all that a state holds: saved and loaded, it goes on the same.
TEST_P(Fill, IsAStateThatCanBeSaved) {
  auto state = pool_->open({});
  ASSERT_TRUE(state);
  ASSERT_TRUE(pool_->reserve(*state, 333));
  ASSERT_TRUE(model_->fill(*state, 333, 1));
  pool_->advance(*state, std::vector<Key>(333, 5));
  const auto saved = pool_->save(*state);
  *state = SequenceState();
  auto loaded = pool_->load(saved);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_TRUE(pool_->reserve(*loaded, 3));
  const std::vector<Token> tokens = {7, 8, 9};
  const BatchItem item{&*loaded, tokens, 1};
  const auto out = model_->forward({&item, 1});
  ASSERT_TRUE(out);
  const auto row = out->span(0);
  EXPECT_EQ(logits(333, 1), std::vector<float>(row.begin(), row.end()));
}

TEST_P(Fill, ExercisesTheExperts) {
  // Two chosen experts and the shared one, three matrices of 128 x 128 each, and the router's rows.
  EXPECT_DOUBLE_EQ(model_->exercise(3), 2.0 * 3 * (3 * 3 * 128 + 8) * 128);
}

INSTANTIATE_TEST_SUITE_P(Numerics, Fill, testing::Values("plain", "vendor"));

}  // namespace
}  // namespace plumb::deepseek_v4
