// What the HTTP server does with clients that are wrong, slow, greedy or too many.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/http_server_for_tests.h"
#include "server/raw_client_for_tests.h"

namespace plumb {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct HttpLimitsTest : ::testing::Test {
  TestHandler handler;
  HttpServerOptions options;

  std::unique_ptr<HttpServer> start() { return serve(handler, options); }
};

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

TEST_F(HttpLimitsTest, RefusesWhatIsMalformedAndCloses) {
  const auto server = start();
  for (const char* bytes : {"nonsense\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
                            "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x05\x01"}) {
    RawClient client(server->port());
    client.send(bytes);
    const RawReply reply = client.read_reply();
    EXPECT_EQ(reply.status, 400) << bytes;
    EXPECT_EQ(reply.header("connection"), "close");
    EXPECT_TRUE(reply.complete);
    EXPECT_TRUE(client.closed());
  }
  EXPECT_EQ(server->stats().requests, 0u);
  EXPECT_TRUE(handler.requests().empty());
}

TEST_F(HttpLimitsTest, RefusesAMalformedRequestAfterAnsweringTheOneBeforeIt) {
  const auto server = start();
  RawClient client(server->port());
  client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
  EXPECT_EQ(client.read_reply().status, 200);
  EXPECT_EQ(client.read_reply().status, 400);
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpLimitsTest, RefusesALongHead) {
  options.max_head = 1000;
  const auto server = start();
  RawClient client(server->port());
  client.request("GET", "/x", {}, str("X: ", std::string(100000, 'x'), "\r\n"));
  EXPECT_EQ(client.read_reply().status, 431);
  EXPECT_TRUE(client.closed());
}

// The refusal reaches a client that goes on sending, and reads only when all is sent.
TEST_F(HttpLimitsTest, RefusesALongBodyAndStillHearsItOut) {
  handler.max_body = 1000;
  const auto server = start();
  for (const bool chunked : {false, true}) {
    RawClient client(server->port());
    const std::size_t size = 20 << 20;  // more than the sockets' buffers
    client.send("POST /x HTTP/1.1\r\nHost: a\r\n");
    if (chunked) {
      client.send(str("Transfer-Encoding: chunked\r\n\r\n", "3e8\r\n", std::string(1000, 'x'),
                      "\r\n1400000\r\n"));
    } else {
      client.send(str("Content-Length: ", size, "\r\n\r\n"));
    }
    EXPECT_TRUE(client.send(std::string(size, 'x')));
    const RawReply reply = client.read_reply();
    EXPECT_EQ(reply.status, 413);
    EXPECT_EQ(reply.header("connection"), "close");
    EXPECT_TRUE(client.closed());
  }
  EXPECT_TRUE(handler.requests().empty());
}

TEST_F(HttpLimitsTest, AHeadMustArriveInTimeHoweverItTrickles) {
  options.head_timeout = milliseconds(100);
  const auto server = start();
  RawClient stuck(server->port());
  stuck.send("GET / HTTP/1.1\r\nHos");
  EXPECT_EQ(stuck.read_reply().status, 408);
  EXPECT_TRUE(stuck.closed());

  RawClient trickling(server->port());
  std::thread reader;
  RawReply reply;
  std::atomic<bool> answered{false};
  trickling.send("GET / HTTP/1.1\r\nX: ");
  reader = std::thread([&] {
    reply = trickling.read_reply();
    answered = true;
  });
  const auto start = Clock::now();
  while (!answered && Clock::now() - start < RawClient::kPatience && trickling.send("x")) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  reader.join();
  EXPECT_EQ(reply.status, 408);
}

TEST_F(HttpLimitsTest, ASilentConnectionIsClosedWithoutAWord) {
  options.head_timeout = milliseconds(50);
  const auto server = start();
  RawClient client(server->port());
  EXPECT_EQ(client.read_some(), "");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_orderly());
}

TEST_F(HttpLimitsTest, AnIdleConnectionIsClosedWithoutAWord) {
  options.idle_timeout = milliseconds(50);
  const auto server = start();
  RawClient client(server->port());
  client.request("GET", "/x");
  EXPECT_EQ(client.read_reply().status, 200);
  EXPECT_EQ(client.read_some(), "");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_orderly());
}

TEST_F(HttpLimitsTest, ABodyMustMakeProgress) {
  options.body_timeout = milliseconds(100);
  const auto server = start();
  for (const char* headers :
       {"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\na\r\nabc",
        "Content-Length: 10\r\n\r\n"}) {
    RawClient client(server->port());
    client.send(str("POST /x HTTP/1.1\r\nHost: a\r\n", headers));
    EXPECT_EQ(client.read_reply().status, 408);
    EXPECT_TRUE(client.closed());
  }
}

// What a body's client gets that sends `piece` every so often, and for how long it could.
struct Trickle {
  int status = 0;
  milliseconds time{};
};
Trickle trickle(std::uint16_t port, std::string_view piece, milliseconds pause, int pieces) {
  RawClient client(port);
  client.send(
      str("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ", pieces * piece.size(), "\r\n\r\n"));
  Trickle out;
  std::atomic<bool> answered{false};
  const auto start = Clock::now();
  std::thread reader([&] {
    out.status = client.read_reply().status;
    answered = true;
  });
  for (int i = 0; i < pieces && !answered && client.send(piece); ++i) {
    std::this_thread::sleep_for(pause);
  }
  reader.join();
  out.time = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  return out;
}

TEST_F(HttpLimitsTest, ABodyByteNowAndThenIsNoProgress) {
  options.body_timeout = milliseconds(300);
  const auto server = start();
  const Trickle out = trickle(server->port(), "x", milliseconds(20), 100000);
  EXPECT_EQ(out.status, 408);
  EXPECT_GE(out.time, milliseconds(300));
}

TEST_F(HttpLimitsTest, ABodyAtAModestRateMayTakeLong) {
  options.body_timeout = milliseconds(500);
  const auto server = start();
  // A machine that stops for half a second makes a try fail, but not all of them.
  Trickle out;
  for (int i = 0; i < 5 && out.status != 200; ++i) {
    out = trickle(server->port(), std::string(1000, 'x'), milliseconds(20), 40);
  }
  EXPECT_EQ(out.status, 200);
  EXPECT_GE(out.time, milliseconds(700));
}

TEST_F(HttpLimitsTest, AClientThatReadsNothingIsCutInTime) {
  options.write_timeout = milliseconds(100);
  const auto server = start();
  const auto script = handler.script();
  script->begin();
  script->flow(std::string(1 << 20, 'x'));
  RawClient client(RawClient::SlowReader{4096}, server->port());
  client.request("GET", "/scripted");
  EXPECT_TRUE(eventually([&] { return script->destroyed.load(); }));
  EXPECT_TRUE(eventually([&] { return server->stats().open == 0; }));
  EXPECT_EQ(server->stats().broken, 1u);
}

TEST_F(HttpLimitsTest, ReadsOnlySoFarAhead) {
  const auto server = start();
  const auto script = handler.script();
  RawClient client(server->port());
  client.request("GET", "/scripted");
  ASSERT_TRUE(eventually([&] { return script->alive.load(); }));
  std::string requests;
  while (requests.size() < 100000) requests += "GET /y HTTP/1.1\r\nHost: a\r\n\r\n";
  // The kernel's buffers take some megabytes, the server some kilobytes; then it is full.
  int sent = 0;
  while (sent < 1000 && client.send(requests, milliseconds(300))) ++sent;
  EXPECT_LT(sent, 1000);
  script->begin();
  script->give("x", Script::State::kEnd);
  EXPECT_EQ(client.read_reply().body, "x");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(client.read_reply().body, "GET /y 0 ");
}

// Holds `count` connections that wait for an answer each.
struct Crowd {
  Crowd(TestHandler& handler, HttpServer& server, int count) {
    for (int i = 0; i < count; ++i) {
      scripts.push_back(handler.script());
      clients.emplace_back(server.port());
      clients.back().request("GET", "/scripted");
      // One by one, so that each has its own.
      EXPECT_TRUE(eventually([&] { return scripts.back()->alive.load(); }));
    }
  }
  std::vector<std::shared_ptr<Script>> scripts;
  std::vector<RawClient> clients;
};

constexpr int kCrowd = 50;
// The claim is one second; a loaded machine or a sanitizer may need more.
constexpr milliseconds kQuickly{4000};

TEST_F(HttpLimitsTest, AFloodIsRefusedQuicklyAndOthersGoOn) {
  options.max_connections = kCrowd;
  const auto server = start();
  Crowd crowd(handler, *server, kCrowd);
  for (const auto& script : crowd.scripts) script->begin();
  for (RawClient& client : crowd.clients) EXPECT_EQ(client.read_head().status, 200);
  const std::size_t descriptors = open_descriptors();

  constexpr int kThreads = 8, kEach = 250;
  std::atomic<int> told{0}, closed{0}, late{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const auto start = Clock::now();
        RawClient client(server->port());
        client.request("GET", "/x");
        const RawReply reply = client.read_reply();
        const bool ended = client.closed();
        if (!ended || Clock::now() - start > kQuickly) ++late;
        if (reply.status == 503 && reply.header("connection") == "close") {
          ++told;
        } else if (reply.status == 0) {
          ++closed;
        } else {
          ++wrong;
        }
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < kCrowd; ++i) {
      crowd.scripts[i]->give("tick");
      EXPECT_EQ(crowd.clients[i].read_chunk(), "tick");
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told + closed, kThreads * kEach);
  EXPECT_GT(told, 0);
  EXPECT_EQ(late, 0);
  EXPECT_EQ(wrong, 0);
  const HttpServerStats stats = server->stats();
  EXPECT_EQ(stats.accepted, std::uint64_t{kCrowd});
  EXPECT_EQ(stats.refused, std::uint64_t{kThreads * kEach});
  EXPECT_EQ(stats.open, kCrowd);
  EXPECT_TRUE(eventually([&] { return open_descriptors() == descriptors; }))
      << open_descriptors() << " against " << descriptors;

  crowd.scripts[0]->give("end", Script::State::kEnd);
  crowd.clients[0].close();
  EXPECT_TRUE(eventually([&] {
    RawClient client(server->port());
    client.request("GET", "/x");
    return client.read_reply().status == 200;
  })) << "there is room for one again";
}

TEST_F(HttpLimitsTest, RefusedClientsThatDoNothingAreClosedToo) {
  options.max_connections = 1;
  const auto server = start();
  Crowd crowd(handler, *server, 1);
  const std::size_t descriptors = open_descriptors();
  const auto start = Clock::now();
  std::vector<RawClient> clients;
  for (int i = 0; i < 200; ++i) clients.emplace_back(server->port());
  int told = 0;
  for (RawClient& client : clients) {
    told += client.read_reply().status == 503;
    EXPECT_TRUE(client.closed());
  }
  EXPECT_LT(Clock::now() - start, kQuickly);
  EXPECT_GT(told, 0);
  EXPECT_EQ(server->stats().refused, 200u);
  EXPECT_TRUE(eventually([&] { return open_descriptors() == descriptors + clients.size(); }))
      << "only the clients' ends are left";
}

// No more descriptors: the accept loop waits until there are some, and nothing else suffers.
TEST_F(HttpLimitsTest, SurvivesTheLackOfDescriptors) {
  const auto server = start();
  RawClient served(server->port());
  served.request("GET", "/x");
  EXPECT_EQ(served.read_reply().status, 200);

  std::vector<int> fillers;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = std::min<rlim_t>(before.rlim_cur, 256);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int filler; (filler = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
    fillers.push_back(filler);
  }
  ASSERT_FALSE(fillers.empty());
  ::close(fillers.back());
  fillers.pop_back();
  RawClient waiting(server->port());  // takes the last one
  EXPECT_TRUE(waiting.connected());
  waiting.request("GET", "/y");
  EXPECT_EQ(waiting.read_some(milliseconds(200)), "") << "cannot be accepted";
  served.request("GET", "/z");
  EXPECT_EQ(served.read_reply().status, 200);
  for (const int filler : fillers) ::close(filler);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(waiting.read_reply().body, "GET /y 0 ");
}

TEST_F(HttpLimitsTest, NoDescriptorStaysBehind) {
  options.body_timeout = options.head_timeout = milliseconds(20);
  const std::size_t descriptors = open_descriptors();
  {
    const auto server = start();
    for (int i = 0; i < 50; ++i) {
      RawClient(server->port()).send("GET / HTTP/1.1\r\n");
      RawClient(server->port()).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
      RawClient(server->port()).request("GET", "/x");
      RawClient client(server->port());
      client.send("bad\r\n\r\n");
      client.reset();
    }
    EXPECT_TRUE(eventually([&] { return server->stats().open == 0; }));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace plumb
