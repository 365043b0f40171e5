// Clients against a server that behaves, and that misbehaves in each way.
#include "load/client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "load/crowd.h"
#include "load/fetch.h"
#include "load/flood.h"
#include "load/scripted_server_for_tests.h"

namespace plumb::load {
namespace {

using Peer = ScriptedServer::Peer;

constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

std::string chunk(std::string_view bytes) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return str(size, bytes, "\r\n");
}

std::string piece(std::string_view text, std::string_view finish = "null") {
  return chunk(str(R"(data: {"id":"a","object":"text_completion","choices":[{"index":0,"text":")",
                   text, R"(","finish_reason":)", finish, "}]}\n\n"));
}

std::string ending() {
  return piece("", "\"length\"") +
         chunk(
             "data: {\"id\":\"a\",\"object\":\"text_completion\",\"choices\":[],"
             "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n") +
         "0\r\n\r\n";
}

std::string whole_reply() { return str(kStreamHead, piece("x"), piece("y"), ending()); }

Ask ask(int cancel_after = 0, bool slow = false) {
  return {Api::kCompletions, "/v1/completions", R"({"prompt":"x"})", cancel_after, slow};
}

std::vector<Sample> run_asks(const std::string& url, std::vector<Ask> asks,
                             std::chrono::milliseconds timeout = std::chrono::milliseconds(20000)) {
  const auto target = parse_target(url);
  EXPECT_TRUE(target) << target.error().message;
  const ClientOptions options{*target, "secret", timeout};
  Loop loop;
  std::vector<Sample> samples;
  Client::Calls calls;
  std::size_t asked = 0;
  calls.next = [&]() -> std::optional<Ask> {
    if (asked == asks.size()) return std::nullopt;
    return asks[asked++];
  };
  calls.done = [&](Sample sample) { samples.push_back(std::move(sample)); };
  calls.over = [&] { loop.stop(); };
  Client client(loop, options, std::move(calls));
  client.start();
  loop.run();
  return samples;
}

// What comes of one request whose connection gets `bytes` and is then closed, or kept.
Sample sample_of(const std::string& bytes, bool close = true,
                 std::chrono::milliseconds timeout = std::chrono::milliseconds(20000)) {
  ScriptedServer server([&](Peer& peer) {
    if (peer.request().empty()) return;
    peer.send(bytes);
    if (!close) peer.wait_until_gone();
  });
  const auto samples = run_asks(server.url(), {ask()}, timeout);
  return samples.empty() ? Sample() : samples.front();
}

TEST(Client, ReadsWholeRepliesOnOneConnection) {
  std::vector<std::string> requests;
  ScriptedServer server([&](Peer& peer) {
    for (std::string text = peer.request(); !text.empty(); text = peer.request()) {
      requests.push_back(text);
      peer.send(str(kStreamHead, piece("x")));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      peer.send(piece("y") + ending());
    }
  });
  const auto samples = run_asks(server.url(), {ask(), ask(), ask()});
  ASSERT_EQ(samples.size(), 3u);
  for (const Sample& sample : samples) {
    EXPECT_EQ(sample.ending, Ending::kComplete) << sample.why;
    EXPECT_EQ(sample.usage, (TokenUsage{3, 0, 2}));
    ASSERT_TRUE(sample.first_ms);
    ASSERT_EQ(sample.gaps.size(), 1u);
    EXPECT_GE(sample.gaps[0].ms, 10);
  }
  EXPECT_EQ(server.connections(), 1);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_TRUE(requests[0].starts_with("POST /v1/completions HTTP/1.1\r\n")) << requests[0];
  EXPECT_NE(requests[0].find("Authorization: Bearer secret\r\n"), std::string::npos);
  EXPECT_TRUE(requests[0].ends_with("\r\n\r\n{\"prompt\":\"x\"}")) << requests[0];
}

TEST(Client, AReplyCutAnywhereIsNotTakenForComplete) {
  const std::string reply = whole_reply();
  for (std::size_t size = 0; size < reply.size(); size += 23) {
    const Sample sample = sample_of(reply.substr(0, size));
    EXPECT_EQ(sample.ending, Ending::kCut) << size << ": " << sample.why;
  }
}

TEST(Client, TellsFailuresApart) {
  const std::string refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull";
  Sample sample = sample_of(refusal);
  EXPECT_EQ(sample.ending, Ending::kStatus);
  EXPECT_EQ(sample.status, 503);
  EXPECT_EQ(sample.why, "Status 503: full");

  const std::string broken[] = {
      "HTTP/1.1 200 OK\r\n\r\n",
      str(kStreamHead, piece("x"), "0\r\n\r\n"),                    // no ending of the format
      str(kStreamHead, piece("x"), chunk("nonsense\n"), ending()),  // no field of an event
      str(kStreamHead, chunk("data: {\n\n")),
      str(kStreamHead, piece("x"), ending(), "more"),
  };
  for (const std::string& bytes : broken) {
    sample = sample_of(bytes);
    EXPECT_EQ(sample.ending, Ending::kProtocol) << bytes;
  }
  sample = sample_of(str(kStreamHead, piece("x")), false, std::chrono::milliseconds(200));
  EXPECT_EQ(sample.ending, Ending::kTimeout);
}

TEST(Client, WithoutAServerThereIsNoConnection) {
  std::string url;
  {
    ScriptedServer server([](Peer&) {});
    url = server.url();
  }
  const auto samples = run_asks(url, {ask(), ask()});
  ASSERT_EQ(samples.size(), 2u);
  for (const Sample& sample : samples) EXPECT_EQ(sample.ending, Ending::kConnect) << sample.why;
}

TEST(Client, LeavesAfterSoManyPiecesAndComesBack) {
  ScriptedServer server([](Peer& peer) {
    while (!peer.request().empty()) {
      if (!peer.send(kStreamHead)) return;
      for (int i = 0; i < 4; ++i) {
        if (!peer.send(piece("x"))) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      peer.send(ending());
    }
  });
  const auto samples = run_asks(server.url(), {ask(2), ask()});
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].ending, Ending::kCancelled);
  EXPECT_EQ(samples[0].gaps.size(), 1u);
  EXPECT_EQ(samples[1].ending, Ending::kComplete) << samples[1].why;
  EXPECT_EQ(samples[1].gaps.size(), 3u);
  EXPECT_EQ(server.connections(), 2);
}

// The server cannot get rid of a long reply at once, and the client still reads all of it.
TEST(Client, ASlowReaderHoldsTheServerUpAndReadsEverything) {
  constexpr int kPieces = 80;
  const std::string text(1000, 'x');
  ScriptedServer server([&](Peer& peer) {
    if (peer.request().empty()) return;
    peer.send(kStreamHead);
    for (int i = 0; i < kPieces; ++i) peer.send(piece(text));
    peer.send(ending());
    peer.wait_until_gone();
  });
  const Moment begin = now();
  const auto samples = run_asks(server.url(), {ask(0, true)});
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].ending, Ending::kComplete) << samples[0].why;
  EXPECT_TRUE(samples[0].slow);
  EXPECT_EQ(samples[0].gaps.size(), kPieces - 1u);
  EXPECT_GE(ms_between(begin, now()), 1000);
}

TEST(Crowd, ManyClientsAreServedAtOnceAndMayLeave) {
  ScriptedServer server([](Peer& peer) {
    if (peer.request().empty()) return;
    peer.send(str(kStreamHead, piece("x")));
    peer.wait_until_gone();  // until they leave: all of them wait at the same time
  });
  const auto target = parse_target(server.url());
  ASSERT_TRUE(target);
  const ClientOptions options{*target, "", std::chrono::milliseconds(20000)};
  constexpr int kClients = 20;
  Loop loop;
  int cancelled = 0;
  Crowd::Calls calls;
  calls.next = [](int, std::int64_t) { return ask(); };
  calls.done = [&](const Sample& sample) { cancelled += sample.ending == Ending::kCancelled; };
  calls.over = [&] { loop.stop(); };
  Crowd crowd(loop, options, kClients, std::move(calls));
  crowd.start();
  loop.after(std::chrono::milliseconds(300), [&] { crowd.leave(); });
  loop.run();
  EXPECT_EQ(cancelled, kClients);
  EXPECT_EQ(server.connections(), kClients);
}

TEST(Fetch, GivesTheBodyOrSaysWhatCame) {
  ScriptedServer server([](Peer& peer) {
    const std::string request = peer.request();
    if (request.starts_with("GET /metrics "))
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na 1");
    if (request.starts_with("GET /none "))
      peer.send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
  });
  const auto target = parse_target(server.url() + "/");
  ASSERT_TRUE(target);
  const auto body = fetch(*target, "/metrics");
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(*body, "a 1");
  EXPECT_EQ(fetch(*target, "/none").error().message,
            "GET /none was answered with status 404, expected 200.");
  EXPECT_FALSE(fetch(*target, "/closes"));
}

TEST(Flood, CountsRepliesClosesAndSilence) {
  std::atomic<int> n{0};
  ScriptedServer server([&](Peer& peer) {
    if (peer.request().empty()) return;
    switch (n++ % 4) {
      case 0:
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        return;
      case 1:
        peer.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        return;
      case 2:
        return;
      default:
        peer.wait_until_gone();  // which is the flood's patience
    }
  });
  Flood::Options options;
  options.target = *parse_target(server.url());
  options.attempts = 40;
  options.parallel = 8;
  options.limit = std::chrono::milliseconds(500);
  Loop loop;
  Flood flood(loop, options, [&] { loop.stop(); });
  flood.start();
  loop.run();
  const FloodResult& result = flood.result();
  EXPECT_EQ(result.statuses, (std::map<int, std::int64_t>{{200, 10}, {503, 10}}));
  EXPECT_EQ(result.closed, 10);
  EXPECT_EQ(result.late, 10);
  EXPECT_EQ(result.ms.size(), 30u);
}

TEST(Target, UrlsAreTakenApart) {
  const auto target = parse_target("http://localhost:8080/base/");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->authority, "localhost:8080");
  EXPECT_EQ(target->prefix, "/base");
  EXPECT_TRUE(parse_target("http://[::1]:80"));
  EXPECT_TRUE(parse_target("http://127.0.0.1"));
  for (const char* url :
       {"", "https://127.0.0.1:1", "127.0.0.1:80", "http://", "http://:80", "http://127.0.0.1:"}) {
    EXPECT_FALSE(parse_target(url)) << url;
  }
}

}  // namespace
}  // namespace plumb::load
