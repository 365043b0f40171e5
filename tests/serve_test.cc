// plumb serve and plumb replay as an operator runs them, with the bundled model.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "run_shell.h"
#include "server/raw_client_for_tests.h"
#include "server_process.h"

namespace plumb {
namespace {

std::string chat_body(const std::string& question, const std::string& more) {
  return R"({"messages": [{"role": "user", "content": ")" + question + R"("}])" + more + "}";
}

RawReply post(const ServerProcess& server, const std::string& path, const std::string& body,
              const std::string& headers = "") {
  RawClient client(static_cast<std::uint16_t>(server.port()));
  if (!client.request("POST", path, body, headers)) return {};
  return client.read_reply();
}

RawReply get(const ServerProcess& server, const std::string& path,
             const std::string& headers = "") {
  RawClient client(static_cast<std::uint16_t>(server.port()));
  if (!client.request("GET", path, "", headers)) return {};
  return client.read_reply();
}

// The answer's text in a reply that is not streamed.
std::string text_of(const RawReply& reply) {
  const auto json = parse_json(reply.body, "reply");
  const Json* choices = json ? json->find("choices") : nullptr;
  if (!choices || choices->items().empty()) return "no answer: " + reply.body;
  return choices->items()[0].find("message")->find("content")->text();
}

const std::string kLong = R"(, "stream": true, "max_tokens": 400, "ignore_eos": true, "seed": 1)";

TEST(Serve, AnswersUntilItIsStoppedAndFinishesWhatRuns) {
  ServerProcess server({"--log", ""});
  ASSERT_NE(server.port(), 0) << server.err();
  EXPECT_EQ(get(server, "/ready").status, 200);
  RawClient client(static_cast<std::uint16_t>(server.port()));
  ASSERT_TRUE(client.request("POST", "/v1/chat/completions", chat_body("Tell me a story.", kLong)));
  ASSERT_EQ(client.read_head().status, 200);
  server.signal(SIGTERM);
  std::string stream;
  while (const auto chunk = client.read_chunk()) {
    if (chunk->empty()) break;
    stream += *chunk;
  }
  EXPECT_TRUE(stream.ends_with("data: [DONE]\n\n"))
      << stream.substr(stream.size() - std::min<std::size_t>(stream.size(), 200));
  EXPECT_EQ(server.wait(30), 0) << server.err();
  EXPECT_NE(server.err().find("Every request was answered"), std::string::npos);
  EXPECT_FALSE(RawClient(static_cast<std::uint16_t>(server.port())).connected());
}

// What is drafted is accepted on trial and taken back, masks with it.
TEST(Serve, DraftsChangeNothingAboutRepliesThatKeepAContract) {
  const std::string schema =
      R"(, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
      "type": "object", "properties": {"name": {"type": "string", "maxLength": 30}, "age": {"type": "integer"},
      "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3}},
      "required": ["name", "age", "tags"]}}})";
  const std::string tools =
      R"(, "tool_choice": "required", "tools": [{"type": "function", "function": {"name": "get_weather",
      "strict": true, "parameters": {"type": "object", "properties": {"city": {"type": "string"},
      "days": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["city", "days"]}}}])";
  const std::string regex =
      R"(, "structured_outputs": {"regex": "(The|A) [a-z]{3,12}( [a-z]{2,9}){2,5}\\."})";
  ServerProcess plain({"--log", "", "--draft", "0"}), drafting({"--log", "", "--draft", "1"});
  ASSERT_NE(plain.port(), 0) << plain.err();
  ASSERT_NE(drafting.port(), 0) << drafting.err();
  const auto answer = [](const ServerProcess& server, const std::string& body) {
    const RawReply reply = post(server, "/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    const auto json = parse_json(reply.body, "reply");
    return json ? json->find("choices")->dump() : reply.body;
  };
  for (int seed = 1; seed <= 6; ++seed) {
    for (const std::string& contract : {schema, tools, regex}) {
      const std::string body = chat_body("What is the weather in Rome?",
                                         str(contract, R"(, "max_tokens": 200, "seed": )", seed,
                                             R"(, "temperature": )", seed % 3 * 0.5));
      const std::string alone = answer(plain, body);
      EXPECT_EQ(answer(drafting, body), alone);
      EXPECT_EQ(alone.find("DSML"), std::string::npos) << alone;
    }
  }
}

TEST(Serve, WhatTakesTooLongWhenItIsStoppedIsCutAndNeverLooksComplete) {
  ServerProcess server({"--log", "", "--drain", "0"});
  ASSERT_NE(server.port(), 0) << server.err();
  RawClient client(static_cast<std::uint16_t>(server.port()));
  ASSERT_TRUE(
      client.request("POST", "/v1/chat/completions",
                     chat_body("Tell me a story.",
                               R"(, "stream": true, "max_tokens": 60000, "ignore_eos": true)")));
  ASSERT_EQ(client.read_head().status, 200);
  server.signal(SIGTERM);
  std::string stream;
  bool ended = false;
  while (const auto chunk = client.read_chunk()) {
    ended = chunk->empty();
    if (ended) break;
    stream += *chunk;
  }
  EXPECT_FALSE(ended && stream.find("[DONE]") != stream.npos);
  EXPECT_EQ(server.wait(30), 0) << server.err();
}

// Law 2 through every layer: alone, among sixteen strangers, and parked for want of room.
TEST(Serve, AnAnswerIsTheSameAloneAndAmongStrangers) {
  const std::string options[] = {
      R"(, "temperature": 0, "max_tokens": 48, "ignore_eos": true)",
      R"(, "seed": 11, "temperature": 1, "max_tokens": 48, "ignore_eos": true)"};
  std::vector<std::string> alone;
  {
    ServerProcess quiet({"--log", ""});
    ASSERT_NE(quiet.port(), 0) << quiet.err();
    for (const std::string& option : options) {
      alone.push_back(
          text_of(post(quiet, "/v1/chat/completions", chat_body("What is 4 plus 5?", option))));
      // Streaming is another way to write the same answer.
      EXPECT_NE(alone.back(), "");
    }
  }
  ServerProcess busy({"--log", "", "--context", "1024", "--parallel", "8"});
  ASSERT_NE(busy.port(), 0) << busy.err();
  std::vector<std::thread> strangers;
  for (int i = 0; i < 16; ++i) {
    strangers.emplace_back([&busy, i] {
      const std::string more =
          str(R"(, "seed": )", i, R"(, "max_tokens": 200, "ignore_eos": true)");
      EXPECT_EQ(
          post(busy, "/v1/chat/completions", chat_body(str("Story number ", i, ", please."), more))
              .status,
          200);
    });
  }
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(
        text_of(post(busy, "/v1/chat/completions", chat_body("What is 4 plus 5?", options[i]))),
        alone[i]);
  }
  for (std::thread& thread : strangers) thread.join();
}

TEST(Serve, RecordedAnswersAreReplayedByteForByte) {
  const TempDir dir;
  const std::string records = (dir / "records").string();
  std::vector<RawReply> replies;
  {
    ServerProcess server({"--log", "", "--record", records});
    ASSERT_NE(server.port(), 0) << server.err();
    const std::string more = R"(, "max_tokens": 20, "n": 2, "stream": true)";
    replies.push_back(post(server, "/v1/chat/completions", chat_body("Who are you?", more)));
    replies.push_back(post(
        server, "/v1/messages",
        R"({"model": "minnow", "max_tokens": 20, "messages": [{"role": "user", "content": "Who are you?"}]})"));
    server.signal(SIGTERM);
    ASSERT_EQ(server.wait(30), 0);
  }
  for (const RawReply& reply : replies) {
    ASSERT_EQ(reply.status, 200) << reply.body;
    const Outcome outcome = run_shell_apart(
        str(PLUMB_PROGRAM, " replay ", reply.header("x-request-id"), " --records ", records));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, reply.body);
    EXPECT_NE(outcome.err.find("the same"), std::string::npos);
  }
  const Outcome other =
      run_shell_apart(str(PLUMB_PROGRAM, " replay ", replies[0].header("x-request-id"),
                          " --numerics plain --records ", records));
  EXPECT_EQ(other.status, 5) << other.err;
  EXPECT_NE(other.err.find("numerics"), std::string::npos);
  EXPECT_EQ(run_shell_apart(str(PLUMB_PROGRAM, " replay none --records ", records)).status, 3);
}

TEST(Serve, KeysComeFromTheConfiguration) {
  const TempDir dir;
  const std::string config = (dir / "plumb.toml").string();
  ASSERT_TRUE(write_file_atomically(
      config,
      "[[keys]]\nname = \"app\"\nkey = \"sk-0123456789abcdef\"\nrequests_per_minute = 2\n"
      "[aliases]\n\"gpt-4o\" = \"minnow\"\n[log]\npath = \"\"\n"));
  ServerProcess server({"--config", config});
  ASSERT_NE(server.port(), 0) << server.err();
  const std::string key = "Authorization: Bearer sk-0123456789abcdef\r\n";
  const std::string body = chat_body("Who are you?", R"(, "model": "gpt-4o", "max_tokens": 4)");
  EXPECT_EQ(post(server, "/v1/chat/completions", body).status, 401);
  EXPECT_EQ(post(server, "/v1/chat/completions", body, key).status, 200);
  EXPECT_EQ(post(server, "/v1/chat/completions", body, key).status, 200);
  const RawReply limited = post(server, "/v1/chat/completions", body, key);
  EXPECT_EQ(limited.status, 429);
  EXPECT_NE(limited.header("retry-after"), "");
  EXPECT_EQ(get(server, "/metrics", key).status, 403);
  const Outcome printed =
      run_shell_apart(str(PLUMB_PROGRAM, " serve --config ", config, " --print-config"));
  EXPECT_EQ(printed.status, 0);
  EXPECT_EQ(printed.out.find("sk-0123456789abcdef"), std::string::npos)
      << "secrets are not printed";
  EXPECT_NE(printed.out.find("gpt-4o"), std::string::npos);
}

TEST(Serve, WhatCannotBeServedIsSaidWithTheRightStatus) {
  const auto refused = [](const std::string& arguments, int status, const std::string& part) {
    const Outcome outcome = run_shell_apart(str(PLUMB_PROGRAM, " serve ", arguments));
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  };
  ServerProcess first({"--log", ""});
  ASSERT_NE(first.port(), 0) << first.err();
  refused(str("--port ", first.port()), 1, std::to_string(first.port()));
  refused("--port 70000", 2, "70000");
  refused("--alias gpt-4o=other --port 0", 2, "other");
  refused("--tls-certificate missing.pem --tls-key missing.pem --port 0", 2, "missing.pem");
  refused("--config missing.toml", 2, "missing.toml");
}

TEST(Serve, AnotherOriginIsHelpedOnlyIfItIsNamed) {
  ServerProcess server({"--log", "", "--cors-origin", "https://app.example"});
  ASSERT_NE(server.port(), 0) << server.err();
  const std::string origin = "Origin: https://app.example\r\n";
  EXPECT_EQ(get(server, "/v1/models", origin).header("access-control-allow-origin"),
            "https://app.example");
  EXPECT_EQ(get(server, "/v1/models", "Origin: https://other.example\r\n")
                .header("access-control-allow-origin"),
            "");
}

}  // namespace
}  // namespace plumb
