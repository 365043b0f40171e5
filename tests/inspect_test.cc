// plumb synth and plumb inspect as a person runs them.
#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "run_shell.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

// Both streams are in `out`.
Outcome plumb(const std::string& arguments) {
  return run_shell(std::string(PLUMB_PROGRAM) + " " + arguments + " 2>&1 </dev/null");
}

void expect_says(const Outcome& outcome, const std::string& part) {
  EXPECT_NE(outcome.out.find(part), std::string::npos) << outcome.out;
}

std::string synth(const TempDir& dir, const std::string& more = "") {
  const std::string model = (dir / "model").string();
  const Outcome made = plumb("synth " + more + " " + model);
  EXPECT_EQ(made.status, 0) << made.out;
  return model;
}

void overwrite(const fs::path& file, std::streamoff from_end, char value) {
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(-from_end, std::ios::end);
  stream.put(value);
}

fs::path first_shard(const std::string& model) {
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().filename().string().starts_with("model-00001-of-")) return entry.path();
  }
  ADD_FAILURE() << "no shards in " << model;
  return {};
}

TEST(Inspect, SaysTheTotalsOfFlashFromItsHeaders) {
  TempDir dir;
  const Outcome outcome = plumb("inspect " + synth(dir, "--headers-only --config v4-flash"));
  EXPECT_EQ(outcome.status, 0);
  expect_says(outcome, "69,187");
  expect_says(outcome, "159,609,485,896");
  expect_says(outcome, "284.33 B");
  expect_says(outcome, "13.27 B");
  expect_says(outcome, "2 window, 21 sparse (a row per 4 tokens), 20 heavy (a row per 128 tokens)");
}

TEST(Inspect, SaysTheTotalsOfProFromItsHeaders) {
  TempDir dir;
  const Outcome outcome = plumb("inspect --json " + synth(dir, "--headers-only --config v4-pro"));
  EXPECT_EQ(outcome.status, 0);
  const auto json = parse_json(outcome.out, "inspect");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->find("total")->find("tensors")->as_int(), 145'116);
  EXPECT_EQ(json->find("total")->find("bytes")->as_int(), 864'704'792'696);
  EXPECT_EQ(json->find("heavy_layers")->as_int(), 31);
  EXPECT_NEAR(*json->find("trunk_parameters")->as_double(), 1573.0e9, 0.05e9);
  EXPECT_NEAR(*json->find("active_parameters")->as_double(), 48.85e9, 0.005e9);
}

// The model that speed is measured with is the one the measurements speak of.
TEST(Inspect, SaysTheTotalsOfTheBenchModelFromItsHeaders) {
  TempDir dir;
  const Outcome outcome =
      plumb("inspect --json " + synth(dir, "--headers-only --config bench-v4-2b"));
  EXPECT_EQ(outcome.status, 0);
  const auto json = parse_json(outcome.out, "inspect");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_NEAR(*json->find("trunk_parameters")->as_double(), 2.37e9, 0.005e9);
  EXPECT_NEAR(*json->find("active_bytes")->as_double(), 494e6, 3e6);
  EXPECT_EQ(json->find("max_context")->as_int(), 1048576);
}

TEST(Inspect, TakesTheFirstLayersOfALargeModel) {
  TempDir dir;
  const Outcome outcome =
      plumb("inspect " + synth(dir, "--headers-only --config v4-pro --layers 5"));
  EXPECT_EQ(outcome.status, 0);
  expect_says(outcome, "2 sparse (a row per 4 tokens), 3 heavy (a row per 128 tokens)");
}

TEST(Inspect, PlansMemoryAndSaysWhatWouldFit) {
  TempDir dir;
  const std::string model = synth(dir);
  const Outcome fits = plumb("inspect --context 4k --memory 4GiB --json " + model);
  EXPECT_EQ(fits.status, 0) << fits.out;
  const auto json = parse_json(fits.out, "inspect");
  ASSERT_TRUE(json);
  const Json& plan = *json->find("memory");
  EXPECT_EQ(plan.find("context")->as_int(), 4096);
  EXPECT_EQ(plan.find("fits")->as_bool(), true);
  EXPECT_EQ(*plan.find("total_bytes")->as_int(), *plan.find("weights_bytes")->as_int() +
                                                     *plan.find("state_bytes")->as_int() +
                                                     *plan.find("scratch_bytes")->as_int());
  // Half of what 128k tokens need on top of the rest: refused, with a context that is then
  // accepted.
  const Outcome whole = plumb("inspect --context 128k --memory 64GiB --json " + model);
  const auto large = parse_json(whole.out, "inspect");
  ASSERT_TRUE(large);
  const Json& needs = *large->find("memory");
  const std::int64_t memory =
      *needs.find("total_bytes")->as_int() - *needs.find("state_bytes")->as_int() / 2;
  const std::string limit = " --memory " + std::to_string(memory) + " ";
  const Outcome refused = plumb("inspect --context 128k" + limit + model);
  EXPECT_EQ(refused.status, 4);
  expect_says(refused, "tokens would fit (--context ");
  const auto at = refused.out.find("(--context ") + 11;
  const std::int64_t context = std::stoll(refused.out.substr(at));
  EXPECT_GT(context, 32 << 10);
  EXPECT_EQ(plumb("inspect --context " + std::to_string(context) + limit + model).status, 0);
  EXPECT_EQ(plumb("inspect --context " + std::to_string(context + 129) + limit + model).status, 4);
  const Outcome hopeless = plumb("inspect --memory 1MiB " + model);
  EXPECT_EQ(hopeless.status, 4);
  expect_says(hopeless, "Even the shortest context needs");
}

TEST(Inspect, VerifiesEveryByte) {
  TempDir dir;
  const std::string model = synth(dir, "--shard-size 1MiB --experts fp8");
  const Outcome good = plumb("inspect --verify " + model);
  EXPECT_EQ(good.status, 0) << good.out;
  const fs::path shard = first_shard(model);
  const std::string name = shard.filename().string();
  expect_says(good, "  " + name + "\n");
  overwrite(shard, 1, '\xff');  // the last tensor of a shard is F8_E4M3 or F8_E8M0
  const Outcome bad = plumb("inspect --verify " + model);
  EXPECT_EQ(bad.status, 3);
  expect_says(bad, name + ": tensor layers.");
  expect_says(bad, "holds 1 values that are no numbers");
  EXPECT_EQ(plumb("inspect " + model).status, 0) << "without --verify only headers are read";
}

TEST(Inspect, NamesBrokenFiles) {
  TempDir dir;
  const std::string model = synth(dir, "--shard-size 1MiB");
  const fs::path first = first_shard(model);
  const std::string name = first.filename().string();
  const auto size = fs::file_size(first);
  fs::resize_file(first, size / 2);
  const Outcome cut = plumb("inspect " + model);
  EXPECT_EQ(cut.status, 3);
  expect_says(cut, name + " is cut short");
  expect_says(cut, std::to_string(size));
  std::ofstream(first) << "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  const Outcome pointer = plumb("inspect " + model);
  EXPECT_EQ(pointer.status, 3);
  expect_says(pointer, "is a Git LFS pointer");
  fs::remove(first);
  const Outcome missing = plumb("inspect " + model);
  EXPECT_EQ(missing.status, 3);
  expect_says(missing, name + " is missing");
  const Outcome nothing = plumb("inspect " + (dir / "nothing").string());
  EXPECT_EQ(nothing.status, 3);
  expect_says(nothing, "There is no model directory");
}

TEST(Inspect, SaysWhatIsWrongWithTheCommandLine) {
  TempDir dir;
  const std::string model = synth(dir);
  EXPECT_EQ(plumb("inspect --help").status, 0);
  EXPECT_EQ(plumb("inspect --nonsense " + model).status, 2);
  EXPECT_EQ(plumb("").status, 2);
  const Outcome longer = plumb("inspect --context 1M " + model);
  EXPECT_EQ(longer.status, 2);
  expect_says(longer, "expected at most 131072");
  const Outcome again = plumb("synth " + model);
  EXPECT_EQ(again.status, 2);
  expect_says(again, "holds a model already");
  const Outcome unknown = plumb("synth --config v9 " + (dir / "x").string());
  EXPECT_EQ(unknown.status, 3);
  expect_says(unknown, "v4-flash, v4-pro, bench-v4-2b, tiny");
  const Outcome none = plumb("synth --layers 6 " + (dir / "x").string());
  EXPECT_EQ(none.status, 2);
  expect_says(none, "expected to keep 1 to 5 of them, not 6");
  EXPECT_EQ(plumb("synth --layers 0 " + (dir / "x").string()).status, 2);
}

TEST(Inspect, RefusesWhatItCannotRun) {
  TempDir dir;
  const std::string model = synth(dir);
  const fs::path config = fs::path(model) / "config.json";
  std::ifstream in(config);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  text.replace(text.find("sqrtsoftplus"), 12, "sigmoid");
  std::ofstream(config) << text;
  const Outcome outcome = plumb("inspect " + model);
  EXPECT_EQ(outcome.status, 5);
  expect_says(outcome, "scoring_func is \"sigmoid\", expected \"sqrtsoftplus\"");
}

}  // namespace
}  // namespace plumb
