// The bundled model answers: fixed held-out prompts through the program, judged and held to
// tests/minnow/floors.tsv.
//
// PLUMB_MINNOW_SET=full takes the larger set and the long contexts instead and only reports, for
// `make eval-minnow`; the table goes to the file PLUMB_MINNOW_REPORT as well.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "base/temp_dir_for_tests.h"
#include "minnow_score.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

Json json(const std::string& text) {
  auto parsed = parse_json(text, "line");
  EXPECT_TRUE(parsed) << text;
  return parsed ? *std::move(parsed) : Json();
}

std::vector<Json> lines_of(const fs::path& path) {
  std::vector<Json> out;
  const auto text = read_file(path);
  EXPECT_TRUE(text) << path;
  std::istringstream in(text ? *text : "");
  for (std::string line; std::getline(in, line);) out.push_back(json(line));
  return out;
}

TEST(MinnowJudge, KnowsRightFromWrong) {
  const Json exact = json(R"({"check":{"kind":"exact","value":"A cat."}})");
  EXPECT_TRUE(judge(exact, json(R"({"text":" A cat.\n"})")).right);
  EXPECT_FALSE(judge(exact, json(R"({"text":"A cat"})")).right);
  EXPECT_FALSE(judge(exact, json(R"({"error":{"message":"x"}})")).valid);

  const Json number = json(R"({"check":{"kind":"number","value":31}})");
  EXPECT_TRUE(judge(number, json(R"({"text":"12 + 19 = 31."})")).right);
  EXPECT_FALSE(judge(number, json(R"({"text":"31 or 32"})")).right);
  EXPECT_FALSE(judge(number, json(R"({"text":"many"})")).valid);

  const Json object = json(R"({"check":{"kind":"json","value":{"a":1,"b":["x"]}}})");
  EXPECT_TRUE(judge(object, json(R"({"text":"{\"b\":[\"x\"], \"a\":1}"})")).right);
  const Verdict other = judge(object, json(R"({"text":"{\"a\":1}"})"));
  EXPECT_TRUE(other.valid && !other.right);
  EXPECT_FALSE(judge(object, json(R"({"text":"{\"a\":"})")).valid);
  const Verdict repeated = judge(object, json(R"({"text":"{\"a\":1,\"b\":[\"x\"],\"a\":1}"})"));
  EXPECT_TRUE(repeated.valid && !repeated.right);
}

TEST(MinnowJudge, HoldsToolCallsToTheirSchema) {
  const Json prompt = json(
      R"({"tools":[{"function":{"name":"add","parameters":{"properties":{"a":{"type":"integer"},
          "b":{"type":"integer"}},"required":["a","b"]}}}],
          "check":{"kind":"tool_call","value":{"name":"add","arguments":{"a":1,"b":2}}}})");
  const auto call = [&](const std::string& name, const std::string& arguments) {
    Json item =
        Json::object({{"name", Json::string(name)}, {"arguments", Json::string(arguments)}});
    return judge(prompt, Json::object({{"text", Json::string("")},
                                       {"finish_reason", Json::string("tool_calls")},
                                       {"tool_calls", Json::array({std::move(item)})}}));
  };
  EXPECT_TRUE(call("add", R"({"b": 2, "a": 1})").right);
  EXPECT_TRUE(call("add", R"({"a": 1, "b": 3})").valid);
  EXPECT_FALSE(call("add", R"({"a": 1, "b": 3})").right);
  EXPECT_FALSE(call("add", R"({"a": 1})").valid);
  EXPECT_FALSE(call("add", R"({"a": 1, "b": "2"})").valid);
  EXPECT_FALSE(call("add", R"({"a": 1, "b": 2, "c": 3})").valid);
  EXPECT_FALSE(call("sub", R"({"a": 1, "b": 2})").valid);
  EXPECT_FALSE(judge(prompt, json(R"({"text":"add 1 and 2"})")).valid);
}

TEST(MinnowJudge, ExpandsRecipesAndComputesIntervals) {
  const Json line = expand_fill(json(
      R"({"id":"x","fill":{"sentences":["A.","B.","C."],"count":3,"multiplier":2,"offset":1,
          "facts":[[1,"F."],[1,"G."]],"question":"Q?"}})"));
  EXPECT_EQ(line.find("messages")->items()[0].find("content")->text(), "B. F. G. A. C.\nQ?");
  EXPECT_EQ(line.find("fill"), nullptr);
  EXPECT_EQ(line.find("id")->text(), "x");
  const auto [low, high] = wilson(95, 100);  // 0.888 to 0.978 in the literature's tables
  EXPECT_NEAR(low, 0.8882, 1e-3);
  EXPECT_NEAR(high, 0.9785, 1e-3);
}

// Shares; 0: none declared.
struct Floor {
  std::string task;
  double right = 0;
  double valid = 0;
};

std::vector<Floor> read_floors(const fs::path& path) {
  std::vector<Floor> out;
  std::istringstream in(read_file(path) ? *read_file(path) : "");
  for (std::string line; std::getline(in, line);) {
    Floor floor;
    std::istringstream fields(line);
    if (!line.starts_with("#") && fields >> floor.task >> floor.right >> floor.valid) {
      out.push_back(floor);
    }
  }
  return out;
}

// The line as `generate --jsonl` takes it: the recipe expanded, the format on its system message.
Json request_of(const Json& prompt) {
  Json out = Json::object();
  const Json whole = expand_fill(prompt);
  const Json* format = prompt.find("response_format");
  for (const auto& [key, value] : whole.members()) {
    if (key != "response_format") out.set(key, value);
  }
  if (format == nullptr) return out;
  std::vector<Json> messages = out.find("messages")->items();
  if (messages.front().find("role")->text() != "system") {
    messages.insert(messages.begin(), Json::object({{"role", Json::string("system")},
                                                    {"content", Json::string("")}}));
  }
  messages.front().set("response_format", *format);
  out.set("messages", Json::array(std::move(messages)));
  return out;
}

struct Score {
  int count = 0;
  int valid = 0;
  int right = 0;
};

// Markdown: one row per task, then how many drafted tokens were kept.
std::string score_table(const std::map<std::string, Score>& scores, std::int64_t drafted,
                        std::int64_t accepted) {
  std::string out =
      "| task | prompts | right | 95 % interval | well-formed |\n|---|---:|---:|---|---:|\n";
  for (const auto& [task, score] : scores) {
    const Interval share = wilson(score.right, score.count);
    char row[160];
    std::snprintf(row, sizeof row, " | %d | %.1f %% | %.1f-%.1f %% | %.1f %% |\n", score.count,
                  100.0 * score.right / score.count, 100 * share.low, 100 * share.high,
                  100.0 * score.valid / score.count);
    out += "| " + task + row;
  }
  if (drafted > 0) {
    out += str("\nDrafts: ", accepted, " of ", drafted, " tokens kept (", 100 * accepted / drafted,
               " %).\n");
  }
  return out;
}

TEST(Minnow, AnswersNoWorseThanItsFloors) {
#ifndef PLUMB_PROGRAM
  GTEST_SKIP() << "There is no program to ask.";
#else
  const char* set = std::getenv("PLUMB_MINNOW_SET");
  const bool full = set != nullptr && std::string(set) == "full";
  const fs::path dir = fs::path(PLUMB_SOURCE_DIR) / "tests" / "minnow";
  std::vector<Json> prompts = lines_of(dir / (full ? "full.jsonl" : "gate.jsonl"));
  for (const Json& line : lines_of(dir / "long.jsonl")) {
    if (full || line.find("task")->text() == "lookup_512") prompts.push_back(line);
  }
  ASSERT_GT(prompts.size(), 1000u);
  std::string questions;
  for (const Json& prompt : prompts) questions += request_of(prompt).dump() + "\n";
  const TempDir temp;
  ASSERT_TRUE(write_file_atomically(temp / "questions", questions));
  // Plain: the same answers on every machine.
  const char* numerics = std::getenv("PLUMB_MINNOW_NUMERICS");
  const std::string command =
      std::string("'") + PLUMB_PROGRAM + "' generate --temperature 0 --draft 1 --numerics " +
      (numerics != nullptr ? numerics : "plain") + (full ? "" : " --context 4096") + " --jsonl '" +
      (temp / "questions").string() + "' > '" + (temp / "answers").string() + "'";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command;
  const std::vector<Json> answers = lines_of(temp / "answers");
  ASSERT_EQ(answers.size(), prompts.size());

  std::map<std::string, Score> scores;
  std::int64_t drafted = 0, accepted = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    ASSERT_EQ(answers[i].find("id")->text(), prompts[i].find("id")->text());
    Score& score = scores[prompts[i].find("task")->text()];
    const Verdict verdict = judge(prompts[i], answers[i]);
    ++score.count;
    score.valid += verdict.valid ? 1 : 0;
    score.right += verdict.right ? 1 : 0;
    if (const Json* usage = answers[i].find("usage")) {
      drafted += usage->find("drafted_tokens")->as_int().value();
      accepted += usage->find("accepted_tokens")->as_int().value();
    }
  }
  const std::string table = score_table(scores, drafted, accepted);
  std::printf("%s", table.c_str());
  if (const char* report = std::getenv("PLUMB_MINNOW_REPORT")) {
    ASSERT_TRUE(write_file_atomically(report, table));
  }
  if (full) return;
  const std::vector<Floor> floors = read_floors(dir / "floors.tsv");
  ASSERT_GE(floors.size(), 11u);
  for (const Floor& floor : floors) {
    ASSERT_EQ(scores.count(floor.task), 1u) << floor.task;
    const Score& score = scores.at(floor.task);
    EXPECT_GE(score.right, floor.right * score.count) << floor.task << ", right";
    EXPECT_GE(score.valid, floor.valid * score.count) << floor.task << ", well-formed";
  }
#endif
}

}  // namespace
}  // namespace plumb
