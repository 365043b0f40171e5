// plumb generate, tokenize and perplexity as a person runs them, with the bundled model. What it
// says is not looked at here: only that it says the same in every way of asking.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "run_shell.h"

namespace plumb {
namespace {

// Runs the program in a shell, so that `arguments` may redirect stdin.
Outcome plumb(const std::string& arguments, const std::string& under = "") {
  return run_shell_apart(under + std::string(PLUMB_PROGRAM) + " " + arguments);
}

Json json_of(const std::string& arguments) {
  const Outcome outcome = plumb(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  auto json = parse_json(outcome.out, "reply");
  EXPECT_TRUE(json) << outcome.out;
  return json ? *json : Json();
}

std::string tokens_of(const Json& reply) {
  const Json* tokens = reply.find("tokens");
  return tokens ? tokens->dump() : "none";
}

void expect_refused(const std::string& arguments, int status, const std::string& part) {
  const Outcome outcome = plumb(arguments);
  EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
  EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
}

const std::string kAsk = "generate \"Who are you?\" -n 24 --ignore-end --json ";

TEST(Generate, ThePromptMayComeFromAnywhere) {
  TempDir dir;
  const std::string file = (dir / "prompt").string();
  ASSERT_TRUE(write_file_atomically(file, "Who are you?"));
  const std::string options = " -n 12 --ignore-end --seed 3";
  const Outcome argument = plumb("generate 'Who are you?'" + options);
  EXPECT_EQ(argument.status, 0) << argument.err;
  EXPECT_EQ(plumb("generate -f " + file + options).out, argument.out);
  EXPECT_EQ(plumb("generate" + options + " <" + file).out, argument.out);
  EXPECT_EQ(plumb("generate - " + options + " <" + file).out, argument.out);
  EXPECT_NE(plumb("generate --raw 'Who are you?'" + options).out, argument.out);
}

TEST(Generate, JsonSaysWhatHappened) {
  const Json reply = json_of(kAsk + "--logprobs 2");
  EXPECT_EQ(reply.find("tokens")->items().size(), 24u);
  EXPECT_EQ(reply.find("finish_reason")->text(), "length");
  EXPECT_EQ(reply.find("usage")->find("completion_tokens")->as_int(), 24);
  EXPECT_GT(reply.find("usage")->find("prompt_tokens")->as_int(), 3);
  EXPECT_GT(reply.find("timings")->find("decode_tokens_per_s")->as_double(), 0);
  const auto& logprobs = reply.find("logprobs")->items();
  ASSERT_EQ(logprobs.size(), 24u);
  EXPECT_LE(logprobs[0].find("logprob")->as_double(), 0);
  ASSERT_EQ(logprobs[0].find("top")->items().size(), 2u);
  EXPECT_GE(logprobs[0].find("top")->items()[0].find("logprob")->as_double(),
            logprobs[0].find("top")->items()[1].find("logprob")->as_double());
}

TEST(Generate, NothingChangesAnAnswerButTheSeed) {
  for (const std::string sampling :
       {"--temperature 0.9 --seed 3 ", "--temperature 0 --frequency-penalty 0.5 "}) {
    const std::string expected = tokens_of(json_of(kAsk + sampling));
    for (const std::string way : {"--threads 1", "--threads 2", "--draft 1", "--draft 3",
                                  "--context 4096", "--isa baseline", "--device ref"}) {
      EXPECT_EQ(tokens_of(json_of(kAsk + sampling + way)), expected) << way;
    }
  }
  EXPECT_NE(tokens_of(json_of(kAsk + "--temperature 0.9 --seed 4")),
            tokens_of(json_of(kAsk + "--temperature 0.9 --seed 3")));
}

TEST(Generate, ManyAtOnceAnswerAsOneByOneAndInOrder) {
  TempDir dir;
  const std::vector<std::string> lines = {
      R"({"id":0,"prompt":"Hi","seed":1})",
      R"({"id":1,"messages":[{"role":"user","content":"Who are you?"}],"temperature":0})",
      R"({"id":2,"prompt":"Once upon a time there was","raw":true,"seed":9})",
      R"({"id":3,"prompt":"What is 2+3?","think":"high","presence_penalty":0.5})",
      R"({"id":4,"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Count."}],"top_k":5})",
      R"({"id":5,"prompt":"Hi","seed":2,"check":{"kind":"any"}})",
      R"({"id":6,"prompt":"A longer prompt, so that not all of them are of one length. Tell me a story about a cat."})",
  };
  std::string all;
  for (const std::string& line : lines) all += line + "\n\n";
  const std::string file = (dir / "all").string();
  ASSERT_TRUE(write_file_atomically(file, all));
  const std::string options = " -n 16 --ignore-end --temperature 0.8";
  for (const std::string way : {"--parallel 7", "--parallel 2 --draft 2"}) {
    const Outcome together = plumb("generate --jsonl " + file + options + " " + way);
    EXPECT_EQ(together.status, 0) << together.err;
    std::size_t at = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::size_t end = together.out.find('\n', at);
      ASSERT_NE(end, std::string::npos);
      const auto reply = parse_json(together.out.substr(at, end - at), "line");
      at = end + 1;
      ASSERT_TRUE(reply);
      EXPECT_EQ(reply->find("id")->as_int(), static_cast<std::int64_t>(i));
      const std::string one = (dir / "one").string();
      ASSERT_TRUE(write_file_atomically(one, lines[i]));
      const Json alone = json_of("generate --jsonl - " + options + " <" + one);
      EXPECT_EQ(tokens_of(*reply), tokens_of(alone)) << lines[i];
      if (i == 5) {
        EXPECT_EQ(reply->find("check")->dump(), R"({"kind":"any"})");
      }
    }
  }
}

TEST(Generate, ALineMaySampleInItsOwnWay) {
  TempDir dir;
  const std::string file = (dir / "lines").string();
  ASSERT_TRUE(write_file_atomically(
      file, R"({"prompt":"Hi","max_tokens":3,"logit_bias":{"105":500},"temperature":0})"));
  EXPECT_EQ(tokens_of(json_of("generate --ignore-end --jsonl " + file)), "[105,105,105]");
}

TEST(Generate, ALinesResponseFormatIsKept) {
  TempDir dir;
  const std::string file = (dir / "lines").string();
  ASSERT_TRUE(write_file_atomically(
      file,
      R"({"prompt":"Hi","max_tokens":40,"temperature":1,"seed":3,"response_format":{"type":"json_schema",)"
      R"("json_schema":{"name":"n","schema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}}})"));
  const Json reply = json_of("generate --jsonl " + file);
  ASSERT_NE(reply.find("text"), nullptr);
  const auto answer = parse_json(reply.find("text")->text(), "answer");
  ASSERT_TRUE(answer) << reply.dump();
  ASSERT_NE(answer->find("n"), nullptr) << reply.dump();
  EXPECT_TRUE(answer->find("n")->as_int()) << reply.dump();
}

TEST(Generate, ABadLineIsAnsweredWithWhatIsWrongAndTheOthersGoOn) {
  TempDir dir;
  const std::string file = (dir / "lines").string();
  ASSERT_TRUE(
      write_file_atomically(file,
                            "{\"id\":7,\"prompt\":3}\n{\"prompt\":\"Hi\",\"max_tokens\":2}\nwhat\n"
                            "{\"prompt\":\"Hi\",\"temperature\":\"hot\"}\n"));
  const Outcome outcome = plumb("generate --jsonl " + file);
  EXPECT_NE(outcome.status, 0);
  EXPECT_NE(outcome.out.find("{\"id\":7,\"error\":"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("lines:1: \\\"prompt\\\" is 3, expected a string"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("\"finish_reason\":"), std::string::npos);
  EXPECT_NE(outcome.out.find("lines:3"), std::string::npos);
  EXPECT_NE(outcome.out.find("expected a number"), std::string::npos);
}

TEST(Generate, CtrlCKeepsWhatWasWrittenAndEndsWithItsOwnStatus) {
  const Outcome outcome = plumb("generate --raw 'Once upon a time' --ignore-end --temperature 1",
                                "timeout --preserve-status -s INT 3 ");
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_FALSE(outcome.out.empty());
}

TEST(Generate, RefusesInASentenceWithAnExitCode) {
  expect_refused("generate </dev/null", 2, "empty");
  expect_refused("generate hi --model /nowhere", 3, "/nowhere");
  expect_refused("generate hi --memory 1MiB", 4, "does not fit");
  expect_refused("generate 'a prompt that is longer than this' --context 8", 2,
                 "the context of this run is 8 tokens");
  expect_refused("generate hi --context 100000000", 2, "the model's own limit");
  expect_refused("generate hi --top-p 0", 2, "top_p");
  expect_refused("generate hi --temperature -1", 2, "temperature");
  expect_refused("generate hi --numerics quick", 2, "numerics");
  expect_refused("generate hi --no-such-option", 2, "no-such-option");
  expect_refused("generate --jsonl /nowhere/at/all", 3, "/nowhere/at/all");
}

TEST(Tokenize, ThereAndBack) {
  const std::string text = "Ciao, 12 è, 中文 <think>\n";
  TempDir dir;
  const std::string file = (dir / "text").string();
  ASSERT_TRUE(write_file_atomically(file, text));
  const Outcome ids = plumb("tokenize -f " + file);
  EXPECT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(plumb("tokenize --decode '" + ids.out + "'").out, text);
  EXPECT_EQ(plumb("tokenize --decode '" +
                  json_of("tokenize --json -f " + file).find("tokens")->dump() + "'")
                .out,
            text);
  const auto count = json_of("tokenize --json -f " + file).find("count")->as_int();
  EXPECT_EQ(plumb("tokenize --count -f " + file).out, std::to_string(*count) + "\n");
  // No text becomes a control token unless that is asked for.
  EXPECT_LT(json_of("tokenize --json --control -f " + file).find("count")->as_int(), count);
  expect_refused("tokenize --decode '12 -1'", 2, "is not a token");
}

TEST(Perplexity, IsTheSumOverTheTextHoweverItIsComputed) {
  TempDir dir;
  const std::string file = (dir / "text").string();
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "The cat number " + std::to_string(i * 37 % 100) + " has a red ball. ";
  ASSERT_TRUE(write_file_atomically(file, text));
  const Json one = json_of("perplexity " + file + " --json --limit 300 --window 300");
  EXPECT_EQ(one.find("tokens")->as_int(), 300);
  EXPECT_EQ(json_of("perplexity " + file + " --json --limit 300 --window 300 --threads 1").dump(),
            one.dump());
  const Json parts = json_of("perplexity " + file + " --json --limit 300 --window 100 --stride 50");
  EXPECT_EQ(parts.find("tokens")->as_int(), 300) << "every token once";
  EXPECT_EQ(parts.find("bytes")->as_int(), one.find("bytes")->as_int());
  const double bits = *one.find("bits_per_token")->as_double();
  EXPECT_GT(bits, 0);
  EXPECT_NEAR(*one.find("perplexity")->as_double(), std::exp2(bits), 1e-6 * std::exp2(bits));
}

}  // namespace
}  // namespace plumb
