// Plain numerics dequantise exactly: a published FP8/FP4 checkpoint and the same model written out in
// fp32 give the same bytes.
#include "base/temp_dir_for_tests.h"
#include "checkpoint/safetensors_writer.h"
#include "golden_vectors.h"
#include "model/deepseek_v4/inventory.h"
#include "tensor/format.h"

namespace plumb {
namespace {

using deepseek_v4::Parameter;
using deepseek_v4::Storage;

// Every number of `parameter` as fp32 (ids as they are), row-major.
std::vector<std::byte> written_out(const WeightStore& store, const Parameter& parameter) {
  const StoredTensor& data = *store.find(parameter.name);
  const std::span<const std::byte> bytes = store.data(data);
  if (parameter.storage == Storage::kIds) return {bytes.begin(), bytes.end()};
  WeightView view;
  auto format = deepseek_v4::stored_format(parameter, store);
  PLUMB_CHECK(format.has_value());
  view.format = *format;
  view.data = bytes.data();
  view.cols = static_cast<int>(parameter.shape.back());
  view.rows = parameter.shape.size() > 1 ? static_cast<int>(parameter.shape.front()) : 1;
  if (format->scale != ScaleType::kNone) view.scales = store.data(*store.find(scale_name(parameter))).data();
  std::vector<float> row(view.cols);
  std::vector<std::byte> out;
  for (int r = 0; r < view.rows; ++r) {
    dequantise(view, r, row);
    const auto as_bytes = std::as_bytes(std::span(row));
    out.insert(out.end(), as_bytes.begin(), as_bytes.end());
  }
  return out;
}

void write_dequantised(const std::filesystem::path& from, const std::filesystem::path& to) {
  OpenOptions rule;
  rule.canonical = deepseek_v4::canonical_name;
  auto store = WeightStore::open(from, rule);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  auto config = deepseek_v4::Config::parse((*store)->config_json());
  ASSERT_TRUE(config.has_value());
  const std::vector<Parameter> all = deepseek_v4::inventory(*config);
  ShardPlan plan;
  plan.file = "model.safetensors";
  int quantised = 0;
  for (const Parameter& p : all) {
    plan.tensors.push_back({p.name, p.storage == Storage::kIds ? Element::kI64 : Element::kF32, p.shape});
    quantised += (*store)->find(deepseek_v4::scale_name(p)) != nullptr;
  }
  ASSERT_GT(quantised, 20);
  auto writer = ShardWriter::create(to, plan);
  ASSERT_TRUE(writer.has_value());
  for (const Parameter& p : all) ASSERT_TRUE(writer->append(written_out(**store, p)).has_value());
  ASSERT_TRUE(writer->finish().has_value());
  ASSERT_TRUE(write_file_atomically(to / "config.json", (*store)->config_json()).has_value());
}

void expect_equal(const std::string& model, const std::string& device) {
  const TempDir dir;
  write_dequantised(source_path(model), dir.path());
  if (testing::Test::HasFatalFailure()) return;
  TinyOptions options;
  options.device = device;
  options.load.max_step_tokens = options.load.max_scored_rows = 200;
  options.load.max_draft = 1;
  TinyModel published = open_tiny(source_path(model), options);
  TinyModel plain = open_tiny(dir.path(), options);
  std::vector<Token> tokens;
  for (int i = 0; i < 150; ++i) tokens.push_back((i * 37 + 11) % published.config.vocab);
  SequenceState a = published.open(), b = plain.open();
  EXPECT_EQ(published.run(a, tokens, 150), plain.run(b, tokens, 150));
  std::vector<float> drafts[2];
  const DraftItem items[2] = {{&a, 5, 1}, {&b, 5, 1}};
  for (int i = 0; i < 2; ++i) {
    LanguageModel& m = i == 0 ? *published.model : *plain.model;
    ASSERT_TRUE(m.draft({&items[i], 1}, [&](int, int, std::span<const float> logits) {
                   drafts[i].assign(logits.begin(), logits.end());
                   return Token{0};
                 }).has_value());
  }
  EXPECT_EQ(drafts[0], drafts[1]);
}

TEST(Dequantised, TheVendorCheckpointGivesTheSameBytes) {
  expect_equal("tests/golden/vendor_a", "ref");
  expect_equal("tests/golden/vendor_a", "cpu");
}

TEST(Dequantised, TheBundledModelGivesTheSameBytes) { expect_equal("models/minnow", "cpu"); }

}  // namespace
}  // namespace plumb
