// plumb bench as a person runs it: what it prints, not how fast it was.
#include <gtest/gtest.h>

#include "base/json.h"
#include "run_shell.h"

namespace plumb {
namespace {

Outcome plumb(const std::string& arguments) {
  return run_shell_apart(std::string(PLUMB_PROGRAM) + " " + arguments + " </dev/null");
}

void expect_refused(const std::string& arguments, int status, const std::string& part) {
  const Outcome outcome = plumb(arguments);
  EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
  EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
}

class Bench : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    ASSERT_EQ(plumb("synth --config tiny " + model()).status, 0);
  }
  static void TearDownTestSuite() { delete std::exchange(dir_, nullptr); }
  static std::string model() { return (*dir_ / "tiny").string(); }
  static Json json_of(const std::string& more) {
    const Outcome outcome = plumb("bench --json --model " + model() + " " + more);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    auto json = parse_json(outcome.out, "bench");
    EXPECT_TRUE(json) << outcome.out;
    return json ? *json : Json();
  }
  static double number(const Json& json, const char* key) {
    const Json* value = json.find(key);
    EXPECT_TRUE(value != nullptr && value->is_number()) << key;
    return value != nullptr ? value->as_double().value_or(-1) : -1;
  }
  static TempDir* dir_;
};
TempDir* Bench::dir_ = nullptr;

TEST_F(Bench, PrintsOneObjectWithEverything) {
  const Json json = json_of("--quick --numerics vendor --threads 2");
  for (const char* key : {"model", "commit", "machine", "numerics", "rejected"}) {
    EXPECT_NE(json.find(key), nullptr) << key;
  }
  EXPECT_EQ(json.find("numerics")->text(), "vendor-2026-06-1");
  EXPECT_GT(number(json, "kl"), 0);
  const Json& routed = *json.find("kl_detail")->find("routed");  // with the experts that plain chose
  EXPECT_GT(number(routed, "mean"), 0);
  EXPECT_NE(number(routed, "mean"), number(json, "kl"));
  const Json& limits = *json.find("limits");
  EXPECT_GT(number(*limits.find("read_gb_s"), "all_cores"), 0);
  EXPECT_GT(number(*limits.find("fp32_gop_s"), "one_core"), 0);
  const bool int8 = !limits.find("int8_gop_s")->is_null();  // present, or said to be absent
  ASSERT_EQ(json.find("prefill")->items().size(), 1u);
  const Json& prefill = json.find("prefill")->items()[0];
  EXPECT_EQ(prefill.find("tokens")->as_int(), 64);
  EXPECT_GT(number(prefill, "tok_s"), 0);
  EXPECT_EQ(prefill.find("fraction_of_peak")->is_null(), !int8);
  // Depths with the first batch size, then further batch sizes at the first depth.
  const std::vector<Json>& decode = json.find("decode")->items();
  ASSERT_EQ(decode.size(), 3u);
  const std::pair<int, int> cells[] = {{0, 1}, {256, 1}, {0, 2}};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(decode[i].find("depth")->as_int(), cells[i].first);
    EXPECT_EQ(decode[i].find("batch")->as_int(), cells[i].second);
    for (const char* key : {"tok_s", "bytes_per_token", "fraction_of_bandwidth",
                            "fraction_of_bound", "bound_tok_s", "experts_met"}) {
      EXPECT_GT(number(decode[i], key), 0) << key;
    }
    const double accepted = number(decode[i], "accepted"), rejected = number(decode[i], "rejected");
    EXPECT_LE(accepted, 1);  // one was asked for
    EXPECT_LE(rejected, 3);
    EXPECT_EQ(static_cast<double>(decode[i].find("tok_s_all")->items().size()),
              accepted > 0 ? accepted : rejected);
    double shares = 0;
    for (const auto& [stage, share] : decode[i].find("stages")->members())
      shares += *share.as_double();
    EXPECT_NEAR(shares, 1, 0.01);
  }
  // A filled cache costs bytes; a batch shares the weights, all but the experts it does not share.
  EXPECT_GT(number(decode[1], "bytes_per_token"), number(decode[0], "bytes_per_token"));
  EXPECT_LT(number(decode[2], "bytes_per_token"), number(decode[0], "bytes_per_token"));
  EXPECT_EQ(number(decode[0], "experts_met"), 2);
  EXPECT_LE(number(decode[2], "experts_met"), 4);
}

TEST_F(Bench, PlainIsNotFarFromItself) {
  const Json json = json_of("--quick --numerics plain");
  EXPECT_EQ(number(json, "kl"), 0);
  EXPECT_TRUE(json_of("--quick --numerics vendor --no-kl").find("kl")->is_null());
}

TEST_F(Bench, PrintsATable) {
  const Outcome outcome = plumb("bench --quick --model " + model());
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part :
       {"memory read", "prefill 64", "decode at 256", "kept", "experts", "KL("}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
}

TEST_F(Bench, RunsARivalBesideEveryRepetition) {
  const Json json = json_of(
      "--no-kl --probe 6MiB --prefill none --depth 0 --batch 1 --reps 2 --against 'echo tg64: 2.5 "
      "t/s'");
  ASSERT_EQ(json.find("decode")->items().size(), 1u);
  const Json& run = json.find("decode")->items()[0];
  const Json* rival = run.find("against");
  ASSERT_NE(rival, nullptr);
  EXPECT_EQ(number(*rival, "tok_s"), 2.5);
  EXPECT_EQ(rival->find("tok_s_all")->items().size(), run.find("tok_s_all")->items().size());
  EXPECT_NEAR(number(*rival, "ratio"), number(run, "tok_s") / 2.5, 0.01 * number(*rival, "ratio"));
}

TEST_F(Bench, SaysWhatIsWrong) {
  const std::string bench = "bench --model " + model() + " ";
  expect_refused(bench + "--depth 1,x", 2, "--depth has the part \"x\"");
  expect_refused(bench + "--batch 0", 2, "expected numbers from 1 to 1024");
  expect_refused(bench + "--prefill none --depth none", 2, "leave nothing to measure");
  expect_refused(bench + "--depth 1M --prefill none", 2, "the model's own limit");
  expect_refused(bench + "--quick --context 4k", 2, "say how long the runs are");
  expect_refused(bench + "--quick --draft 2", 2, "without drafts");
  expect_refused(bench + "--quick --reps 3", 2, "--reps");
  expect_refused(bench + "--reps 0", 2, "--reps");
  const std::string one =
      bench + "--no-kl --probe 6MiB --prefill none --depth 0 --batch 1 --reps 1 --against ";
  expect_refused(bench + "--against true", 2, "compares one run, but the lists ask for 10");
  expect_refused(one + "'echo none'", 2, "holds no number");
  expect_refused(one + "'echo 5; exit 3'", 2, "ended with status 3");
  expect_refused("bench --model " + model() + "/nothing", 3, "There is no model directory");
}

}  // namespace
}  // namespace plumb
