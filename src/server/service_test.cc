#include "server/service.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "base/digest.h"
#include "base/temp_dir_for_tests.h"
#include "gateway/scripted_provider_for_tests.h"
#include "gateway/wire/random_reply_for_tests.h"
#include "server/openapi.h"

namespace plumb {
namespace {

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  bool complete = false;
  Json json() const {
    auto parsed = parse_json(body, "reply");
    return parsed ? *parsed : Json();
  }
};

// Everything an answer has to give, for answers that do not wait.
Reply read_all(Answer& answer) {
  Reply reply;
  Answer::State state = Answer::State::kMore;
  while (state == Answer::State::kMore) state = answer.pull(reply.body);
  reply.complete = state == Answer::State::kEnd;
  if (answer.head()) {
    reply.status = answer.head()->status;
    for (const auto& [name, value] : answer.head()->headers) reply.headers[name] = value;
  }
  return reply;
}

HttpRequest request(std::string method, std::string path, std::string body = "",
                    HttpHeaders headers = {}) {
  HttpRequest out;
  out.method = std::move(method);
  out.path = std::move(path);
  out.body = std::move(body);
  out.headers = std::move(headers);
  out.peer = "127.0.0.1";
  return out;
}

const std::string kHi = R"({"model": "script", "messages": [{"role": "user", "content": "hi"}]})";
const std::string kHiAnthropic =
    R"({"model": "script", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})";

std::vector<ChatEvent> hello() {
  Finished finished;
  finished.usage.prompt = 7;
  finished.usage.completion = 2;
  return {ReplyDelta(ContentDelta{"Hello"}), finished};
}

struct Scene {
  explicit Scene(
      ServiceOptions options = {},
      ScriptedProvider::Script script = [](const ChatRequest&,
                                           int) { return Result<std::vector<ChatEvent>>(hello()); })
      : provider(std::move(script)),
        metrics(MetricsOptions{"script", {"gpt-4o"}, 16, {}}),
        service(provider, std::move(options), metrics, nullptr, nullptr) {}

  Reply ask(const HttpRequest& asked) {
    HttpHandler::Admission admission = service.admit(asked);
    if (admission.refusal) return read_all(*admission.refusal);
    if (asked.body.size() > admission.max_body)
      return read_all(*service.refuse(413, "Too large.", asked));
    const auto answer = service.handle(asked);
    return read_all(*answer);
  }
  std::string metric(const std::string& line_start) {
    const std::string text = ask(request("GET", "/metrics")).body;
    const std::size_t at = text.find("\n" + line_start);
    if (at == text.npos) return "";
    const std::size_t end = text.find('\n', at + 1);
    return text.substr(text.rfind(' ', end) + 1, end - text.rfind(' ', end) - 1);
  }

  ScriptedProvider provider;
  Metrics metrics;
  Service service;
};

ApiKeyOptions key(const std::string& name, const std::string& secret, Scopes scopes,
                  KeyLimits limits = {}) {
  return {name, *api_key_digest(name, secret), scopes, limits};
}

TEST(Service, EveryFormatAnswers) {
  Scene scene;
  const std::pair<std::string, std::string> cases[] = {
      {"/v1/chat/completions", kHi},
      {"/chat/completions", kHi},
      {"/v1/completions", R"({"model": "script", "prompt": "hi"})"},
      {"/v1/responses", R"({"model": "script", "input": "hi"})"},
      {"/v1/messages", kHiAnthropic}};
  for (const auto& [path, body] : cases) {
    const Reply reply = scene.ask(request("POST", path, body));
    EXPECT_EQ(reply.status, 200) << path << reply.body;
    EXPECT_TRUE(reply.complete);
    EXPECT_NE(reply.body.find("Hello"), reply.body.npos) << path;
    EXPECT_EQ(reply.headers.at("x-plumb-weights"), "weights0123");
    EXPECT_EQ(reply.headers.at("x-plumb-numerics"), "plain-1");
    EXPECT_TRUE(reply.headers.contains("x-plumb-seed"));
    EXPECT_TRUE(reply.headers.contains("x-request-id"));
  }
}

TEST(Service, RefusalsSpeakTheClientsLanguage) {
  Scene scene;
  const Reply openai = scene.ask(request("POST", "/v1/chat/completions", R"({"messages": 3})"));
  EXPECT_EQ(openai.status, 400);
  const Json* error = openai.json().find("error");
  ASSERT_NE(error, nullptr);
  const Json openai_json = openai.json();
  EXPECT_EQ(openai_json.find("error")->find("param")->text(), "messages");
  const Reply anthropic = scene.ask(request("POST", "/v1/messages", R"({"messages": 3})"));
  EXPECT_EQ(anthropic.status, 400);
  EXPECT_EQ(anthropic.json().find("type")->text(), "error");
  for (const std::string body :
       {"", "{", "[]", "{\"a\": \xff}", "{\"messages\": [], \"messages\": []}"}) {
    EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", body)).status, 400) << body;
  }
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", std::string(200, '['))).status, 400);
}

TEST(Service, PathsAndMethodsThatDoNotExist) {
  Scene scene;
  EXPECT_EQ(scene.ask(request("GET", "/nothing")).status, 404);
  const Reply wrong = scene.ask(request("GET", "/v1/chat/completions"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("Allow"), "POST");
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", kHi, {{"content-encoding", "gzip"}}))
                .status,
            415);
}

TEST(Service, NamesOfModels) {
  ServiceOptions options;
  options.aliases = {{"gpt-4o", "script"}};
  Scene scene(std::move(options));
  const auto ask = [&](const std::string& model) {
    return scene.ask(request(
        "POST", "/v1/chat/completions",
        R"({"model": ")" + model + R"(", "messages": [{"role": "user", "content": "hi"}]})"));
  };
  EXPECT_EQ(ask("script").json().find("model")->text(), "script");
  EXPECT_EQ(ask("gpt-4o").json().find("model")->text(), "gpt-4o");
  const Reply unknown = ask("claude");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.json().find("error")->find("code")->text(), "model_not_found");
  ServiceOptions any;
  any.aliases = {{"*", "script"}};
  Scene open(std::move(any));
  EXPECT_EQ(
      open.ask(request("POST", "/v1/chat/completions",
                       R"({"model": "claude", "messages": [{"role": "user", "content": "hi"}]})"))
          .status,
      200);
}

TEST(Service, ModelsInTheShapeOfTheClient) {
  ServiceOptions options;
  options.aliases = {{"gpt-4o", "script"}, {"*", "script"}};
  Scene scene(std::move(options));
  const Json openai = scene.ask(request("GET", "/v1/models")).json();
  EXPECT_EQ(openai.find("object")->text(), "list");
  EXPECT_EQ(openai.find("data")->items().size(), 2u);  // the model and the alias that has a name
  const Json anthropic =
      scene.ask(request("GET", "/v1/models", "", {{"anthropic-version", "2023-06-01"}})).json();
  EXPECT_NE(anthropic.find("first_id"), nullptr);
  EXPECT_EQ(scene.ask(request("GET", "/v1/models/gpt-4o")).json().find("id")->text(), "gpt-4o");
  EXPECT_EQ(scene.ask(request("GET", "/v1/models/none")).status, 404);
}

TEST(Service, KeysScopesAndLimits) {
  ServiceOptions options;
  options.keys =
      *ApiKeys::create({key("app", "sk-0123456789abcdef", {Scope::kInference}, {0, 2, 0}),
                        key("scrape", "sk-metrics-0123456789", {Scope::kMetrics})});
  Scene scene(std::move(options));
  const HttpHeaders app = {{"authorization", "Bearer sk-0123456789abcdef"}};
  const HttpHeaders scrape = {{"x-api-key", "sk-metrics-0123456789"}};
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", kHi)).status, 401);
  EXPECT_EQ(
      scene.ask(request("POST", "/v1/chat/completions", kHi, {{"x-api-key", "wrong-wrong-wrong"}}))
          .status,
      401);
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", kHi, scrape)).status, 403);
  EXPECT_EQ(scene.ask(request("GET", "/metrics", "", app)).status, 403);
  EXPECT_EQ(scene.ask(request("GET", "/metrics", "", scrape)).status, 200);
  EXPECT_EQ(scene.ask(request("GET", "/health")).status, 200);
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", kHi, app)).status, 200);
  const Reply last = scene.ask(request("POST", "/v1/messages", kHiAnthropic, app));
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.headers.at("anthropic-ratelimit-requests-limit"), "2");
  const Reply refused = scene.ask(request("POST", "/v1/chat/completions", kHi, app));
  EXPECT_EQ(refused.status, 429);
  EXPECT_GE(std::stoi(refused.headers.at("Retry-After")), 1);
  EXPECT_EQ(refused.headers.at("x-ratelimit-remaining-requests"), "0");
}

TEST(Service, AFullQueueIs429WithRetryAfter) {
  Scene scene({}, [](const ChatRequest&, int) -> Result<std::vector<ChatEvent>> {
    return Error{Code::kExhausted, "The queue is full."};
  });
  const Reply reply = scene.ask(request("POST", "/v1/chat/completions", kHi));
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.headers.at("Retry-After"), "1");
}

TEST(Service, WhatDoesNotFitIsAnErrorThatClientsKnow) {
  Scene scene({}, [](const ChatRequest&, int) -> Result<std::vector<ChatEvent>> {
    return Error{Code::kTooLong,
                 "The prompt of 5000 tokens leaves no room: the context is 4096 tokens."};
  });
  const Reply reply = scene.ask(request("POST", "/v1/chat/completions", kHi));
  EXPECT_EQ(reply.status, 400);
  const Json error = *reply.json().find("error");
  EXPECT_EQ(error.find("code")->text(), "context_length_exceeded");
  EXPECT_NE(error.find("message")->text().find("5000"), std::string::npos);
  EXPECT_NE(error.find("message")->text().find("4096"), std::string::npos);
}

TEST(Service, ASeedIsDrawnAndToldUnlessTheClientHasOne) {
  Scene scene;
  const Reply drawn = scene.ask(request("POST", "/v1/chat/completions", kHi));
  const Reply again = scene.ask(request("POST", "/v1/chat/completions", kHi));
  EXPECT_NE(drawn.headers.at("x-plumb-seed"), again.headers.at("x-plumb-seed"));
  EXPECT_EQ(std::to_string(scene.provider.log().asked[0].sampling.seed),
            drawn.headers.at("x-plumb-seed"));
  const std::string seeded =
      R"({"seed": 7, "n": 2, "messages": [{"role": "user", "content": "hi"}]})";
  const Reply chosen = scene.ask(request("POST", "/v1/chat/completions", seeded));
  EXPECT_EQ(chosen.headers.at("x-plumb-seed"), "7");
  EXPECT_EQ(scene.provider.log().asked[2].sampling.seed, 7u);
  EXPECT_EQ(scene.provider.log().asked[3].sampling.seed, wire::seed_of_choice(7, 1));
}

TEST(Service, ALateChoiceThatIsRefusedCancelsTheOthers) {
  Scene scene({}, [](const ChatRequest&, int n) -> Result<std::vector<ChatEvent>> {
    if (n == 1) return Error{Code::kExhausted, "The queue is full."};
    return hello();
  });
  const std::string two = R"({"n": 2, "messages": [{"role": "user", "content": "hi"}]})";
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", two)).status, 429);
  EXPECT_EQ(scene.provider.log().open, 0);
  EXPECT_EQ(scene.provider.log().destroyed_early, 1);
}

TEST(Service, MetricsAddUpToTheUsageThatClientsSaw) {
  Scene scene({}, [](const ChatRequest&, int n) {
    return Result<std::vector<ChatEvent>>(wire::random_reply(static_cast<std::uint64_t>(n)));
  });
  std::int64_t prompt = 0, completion = 0;
  for (int i = 0; i < 100; ++i) {
    const auto answer = scene.service.handle(request("POST", "/v1/chat/completions", kHi));
    if (i % 5 == 0) continue;  // the client went away
    const Json usage = *read_all(*answer).json().find("usage");
    prompt += *usage.find("prompt_tokens")->as_int();
    completion += *usage.find("completion_tokens")->as_int();
  }
  EXPECT_EQ(std::stod(scene.metric("vllm:prompt_tokens_total")), static_cast<double>(prompt));
  EXPECT_EQ(std::stod(scene.metric("vllm:generation_tokens_total")),
            static_cast<double>(completion));
}

TEST(Service, CountingAndTokens) {
  Scene scene;
  EXPECT_EQ(*scene
                 .ask(request(
                     "POST", "/v1/messages/count_tokens",
                     R"({"model": "script", "messages": [{"role": "user", "content": "four"}]})"))
                 .json()
                 .find("input_tokens")
                 ->as_int(),
            4);
  const Json tokens = scene.ask(request("POST", "/tokenize", R"({"prompt": "ab"})")).json();
  EXPECT_EQ(tokens.find("tokens")->dump(), "[97,98]");
  EXPECT_EQ(*tokens.find("max_model_len")->as_int(), 4096);
  EXPECT_EQ(scene.ask(request("POST", "/detokenize", R"({"tokens": [97, 98]})"))
                .json()
                .find("prompt")
                ->text(),
            "ab");
}

TEST(Service, HealthAndReadiness) {
  Scene scene;
  EXPECT_EQ(scene.ask(request("GET", "/ready")).status, 200);
  scene.service.set_draining();
  EXPECT_EQ(scene.ask(request("GET", "/ready")).status, 503);
  EXPECT_EQ(scene.ask(request("GET", "/health")).status, 200);
  scene.provider.set_healthy(false);
  EXPECT_EQ(scene.ask(request("GET", "/health")).status, 503);
}

TEST(Service, CrossOriginRequests) {
  ServiceOptions options;
  options.cors_origins = {"https://app.example"};
  Scene scene(std::move(options));
  const HttpHeaders friendly = {{"origin", "https://app.example"}};
  const Reply preflight = scene.ask(request("OPTIONS", "/v1/chat/completions", "", friendly));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.at("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_EQ(scene.ask(request("POST", "/v1/chat/completions", kHi, friendly))
                .headers.at("Access-Control-Allow-Origin"),
            "https://app.example");
  EXPECT_FALSE(
      scene.ask(request("POST", "/v1/chat/completions", kHi, {{"origin", "https://evil.example"}}))
          .headers.contains("Access-Control-Allow-Origin"));
}

TEST(Service, TheDocumentDescribesEveryRouteAndNoOther) {
  const auto document = parse_json(openapi_document(), "openapi.json");
  ASSERT_TRUE(document);
  std::map<std::string, bool> described;
  for (const auto& [path, item] : document->find("paths")->members()) {
    for (const auto& [method, operation] : item.members()) {
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      std::string literal = path.substr(0, path.find('{'));
      EXPECT_NE(find_route(upper, path.find('{') == path.npos ? path : literal + "x").route,
                nullptr)
          << upper << path;
      described[upper + " " + literal] = true;
    }
  }
  for (const Route& route : routes()) {
    EXPECT_TRUE(described.contains(std::string(route.method) + " " + std::string(route.path)))
        << route.path;
  }
}

TEST(Service, RecordedAnswersAreComputedAgainByteForByte) {
  const TempDir dir;
  auto store = RecordStore::open(dir.path() / "records");
  ASSERT_TRUE(store);
  const auto script = [](const ChatRequest& asked, int) {
    return Result<std::vector<ChatEvent>>(wire::random_reply(asked.sampling.seed));
  };
  ScriptedProvider provider(script);
  Metrics metrics(MetricsOptions{"script", {}, 16, {}});
  std::vector<std::pair<std::string, std::string>> answers;  // id, bytes
  {
    Service service(provider, {}, metrics, nullptr, store->get());
    const std::pair<std::string, std::string> cases[] = {
        {"/v1/chat/completions",
         R"({"stream": true, "n": 3, "messages": [{"role": "user", "content": "hi"}]})"},
        {"/v1/chat/completions", kHi},
        {"/v1/completions", R"({"prompt": "hi", "stream": true, "seed": 5})"},
        {"/v1/responses", R"({"input": "hi", "stream": true})"},
        {"/v1/messages", kHiAnthropic}};
    for (const auto& [path, body] : cases) {
      const auto answer = service.handle(request("POST", path, body));
      const Reply reply = read_all(*answer);
      ASSERT_TRUE(reply.complete);
      answers.emplace_back(reply.headers.at("x-request-id"), reply.body);
    }
  }
  store->reset();  // writes what is queued
  for (const auto& [id, bytes] : answers) {
    const auto record = load_record(dir.path() / "records", id);
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->sha256, sha256_hex(bytes));
    const auto again = replay(*record, provider, {});
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, bytes);
  }
}

TEST(Record, OfOtherWeightsIsNotReplayed) {
  ScriptedProvider provider(
      [](const ChatRequest&, int) { return Result<std::vector<ChatEvent>>(hello()); });
  Record record;
  record.model = "script";
  record.fingerprint = "other";
  const auto again = replay(record, provider, {});
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("other"), std::string::npos);
  EXPECT_NE(again.error().message.find("weights0123"), std::string::npos);
}

TEST(Record, DamagedOnesAndForeignNamesAreRefused) {
  const TempDir dir;
  EXPECT_EQ(load_record(dir.path(), "../etc/passwd").error().code, Code::kInvalid);
  EXPECT_EQ(load_record(dir.path(), "req_none").error().code, Code::kNotFound);
  Record record;
  record.id = "req_1";
  record.cached = {0};
  record.order = {{0, 2}};
  const std::string text = record_text(record);
  ASSERT_TRUE(parse_record(text, "r"));
  for (const char* field : {"kind", "format", "seed", "order", "cached", "sha256", "request"}) {
    Json damaged = *parse_json(text, "r");
    damaged.set(field, Json::boolean(true));
    const auto parsed = parse_record(damaged.dump(), "r.json");
    ASSERT_FALSE(parsed) << field;
    EXPECT_NE(parsed.error().message.find(field), std::string::npos);
  }
  Json strange = *parse_json(text, "r");
  strange.set("order", Json::array({Json::integer(4), Json::integer(1)}));
  EXPECT_FALSE(parse_record(strange.dump(), "r.json"));
}

}  // namespace
}  // namespace plumb
