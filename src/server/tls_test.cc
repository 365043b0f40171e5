#include "server/tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "base/temp_dir_for_tests.h"
#include "server/certificate_for_tests.h"
#include "server/http_server_for_tests.h"
#include "server/raw_client_for_tests.h"

namespace plumb {
namespace {

using std::chrono::milliseconds;

struct TlsTest : ::testing::Test {
  TempDir dir;
  CertificateFiles files = make_certificate(dir.path(), "server");
  TestHandler handler;
  HttpServerOptions options;

  std::unique_ptr<HttpServer> start() {
    options.tls_certificate = files.certificate;
    options.tls_key = files.key;
    return serve(handler, options);
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(dir / name) << text;
    return (dir / name).string();
  }
};

TEST_F(TlsTest, LoadsACertificateAndItsKey) {
  const auto context = load_tls(files.certificate, files.key);
  ASSERT_TRUE(context) << context.error().message;
  EXPECT_EQ(SSL_CTX_get_min_proto_version(context->get()), TLS1_2_VERSION);
}

TEST_F(TlsTest, SaysWhichFileIsWrong) {
  const auto expect = [](const Result<TlsContext>& result, Code code, const std::string& file) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(file), std::string::npos) << result.error().message;
    EXPECT_TRUE(result.error().message.ends_with('.'));
  };
  const std::string missing = (dir / "missing").string();
  const std::string garbage = file("garbage", "this is no PEM file\n");
  const std::string empty = file("empty", "");
  const CertificateFiles other = make_certificate(dir.path(), "other");
  const CertificateFiles locked = make_certificate(dir.path(), "locked", "secret");
  expect(load_tls(missing, files.key), Code::kInvalid, missing);
  expect(load_tls(files.certificate, missing), Code::kInvalid, missing);
  expect(load_tls(garbage, files.key), Code::kCorrupt, garbage);
  expect(load_tls(empty, files.key), Code::kCorrupt, empty);
  expect(load_tls(files.certificate, garbage), Code::kCorrupt, garbage);
  expect(load_tls(files.certificate, other.key), Code::kInvalid, other.key);
  expect(load_tls(locked.certificate, locked.key), Code::kCorrupt, locked.key);
}

TEST_F(TlsTest, TheServerRefusesWhatCannotBeLoaded) {
  options.tls_certificate = files.certificate;
  auto server = HttpServer::listen(options, handler);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, Code::kInvalid) << "a certificate without a key";
  options.tls_key = file("garbage", "x");
  server = HttpServer::listen(options, handler);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, Code::kCorrupt);
}

TEST_F(TlsTest, AnswersRequestsOfAnySize) {
  const auto server = start();
  RawClient client(RawClient::Tls{}, server->port());
  ASSERT_TRUE(client.connected());
  client.request("GET", "/x");
  EXPECT_EQ(client.read_reply().body, "GET /x 0 ");
  client.request("POST", "/large", std::string(3000000, 'a'));
  EXPECT_EQ(client.read_reply().body, "POST /large 3000000 " + std::string(100, 'a'));

  const auto script = handler.script();
  script->begin();
  client.request("GET", "/scripted");
  EXPECT_EQ(client.read_head().status, 200);
  script->give("small");
  EXPECT_EQ(client.read_chunk(), "small");
  script->give(std::string(1000000, 'b'), Script::State::kEnd);
  EXPECT_EQ(client.read_chunk(), std::string(1000000, 'b'));
  EXPECT_EQ(client.read_chunk(), "");
  EXPECT_EQ(handler.requests().at(0).peer, "127.0.0.1");
}

TEST_F(TlsTest, SaysGoodbyeOnlyAfterAWholeAnswer) {
  const auto server = start();
  RawClient client(RawClient::Tls{}, server->port());
  client.request("GET", "/x", {}, "Connection: close\r\n");
  EXPECT_TRUE(client.read_reply().complete);
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_orderly());

  for (const bool http_1_1 : {true, false}) {
    const auto script = handler.script();
    script->begin();
    script->give("part", Script::State::kBroken);
    RawClient cut(RawClient::Tls{}, server->port());
    cut.send(http_1_1 ? "GET /scripted HTTP/1.1\r\nHost: a\r\n\r\n"
                      : "GET /scripted HTTP/1.0\r\n\r\n");
    EXPECT_FALSE(cut.read_reply().complete);
    EXPECT_TRUE(cut.closed());
    EXPECT_FALSE(cut.ended_orderly());
  }
}

TEST_F(TlsTest, ARefusalReachesAClientThatIsStillSending) {
  handler.max_body = 1000;
  const auto server = start();
  RawClient client(RawClient::Tls{}, server->port());
  client.send(str("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ", 8 << 20, "\r\n\r\n"));
  EXPECT_TRUE(client.send(std::string(8 << 20, 'x')));
  EXPECT_EQ(client.read_reply().status, 413);
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_orderly());
}

TEST_F(TlsTest, AClientThatGoesEndsItsAnswer) {
  const auto server = start();
  for (const bool orderly : {false, true}) {
    const auto script = handler.script();
    RawClient client(RawClient::Tls{}, server->port());
    client.request("GET", "/scripted");
    ASSERT_TRUE(eventually([&] { return script->pulls > 0; }));
    if (orderly) client.finish_sending();
    client.close();
    EXPECT_TRUE(eventually([&] { return script->destroyed.load(); }));
  }
}

TEST_F(TlsTest, PlainHttpIsTurnedAwayAtOnce) {
  const auto server = start();
  RawClient client(server->port());
  client.request("GET", "/x");
  EXPECT_EQ(client.read_reply().status, 0);
  EXPECT_TRUE(client.closed(milliseconds(5000))) << "not only when the time for the head is over";
  EXPECT_TRUE(handler.requests().empty());
}

TEST_F(TlsTest, HalfDoneHandshakesCount) {
  options.max_connections = 2;
  const auto server = start();
  RawClient silent(server->port());
  RawClient half(server->port());
  half.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  ASSERT_TRUE(eventually([&] { return server->stats().open == 2; }));
  const auto status = [&] {
    RawClient client(RawClient::Tls{}, server->port());
    return client.connected() && client.request("GET", "/x") ? client.read_reply().status : 0;
  };
  // A refusal has a second for its handshake, too: a slow machine may need another.
  EXPECT_TRUE(eventually([&] { return status() == 503; }));
  half.close();
  EXPECT_TRUE(eventually([&] { return status() == 200; }));
}

TEST_F(TlsTest, HalfDoneHandshakesEnd) {
  options.head_timeout = milliseconds(50);
  const auto server = start();
  RawClient silent(server->port());
  RawClient half(server->port());
  half.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(half.closed());
  EXPECT_TRUE(eventually([&] { return server->stats().open == 0; }));
}

TEST_F(TlsTest, DrainLetsAnswersFinishAndEndsHandshakes) {
  const auto server = start();
  const auto script = handler.script();
  RawClient client(RawClient::Tls{}, server->port());
  client.request("GET", "/scripted");
  RawClient idle(RawClient::Tls{}, server->port());
  RawClient half(server->port());
  ASSERT_TRUE(eventually([&] { return script->alive && server->stats().open == 3; }));
  bool whole = false;
  std::thread drain([&] { whole = server->drain(std::chrono::minutes(5)); });
  EXPECT_TRUE(idle.closed());
  EXPECT_TRUE(half.closed());
  script->begin();
  script->give("end", Script::State::kEnd);
  EXPECT_EQ(client.read_reply().body, "end");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_orderly());
  drain.join();
  EXPECT_TRUE(whole);
}

}  // namespace
}  // namespace plumb
